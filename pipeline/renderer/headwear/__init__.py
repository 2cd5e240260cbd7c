"""Headwear: hats, helmets with their straps, and the choice between them."""
