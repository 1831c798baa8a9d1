"""`python -m sensorbus` is the command `sensorbus`."""

from sensorbus.cli import main

main()
