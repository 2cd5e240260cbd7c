"""Training of the networks of the bundled Stable Diffusion: data, losses and loop."""
