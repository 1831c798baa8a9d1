"""The bus: what every part agrees on, and what runs them."""
