"""What stands behind the ``stable_diffusion`` generator: presets, where a model comes from, opening it, drawing."""
