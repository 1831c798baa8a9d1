"""Writes readings of simulated devices to topic `sensor`."""
