"""The page: consumer thread, ring buffer, tick, cards, charts."""
