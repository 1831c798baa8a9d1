"""What all parts agree on: messages, topics, units, settings, errors."""
