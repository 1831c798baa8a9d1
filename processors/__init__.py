"""The jobs between the topics, one module each, named after its topic."""
