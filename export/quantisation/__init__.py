"""8-bit weights and activations that keep a network's decisions: one quantiser a format, and one search over all."""
