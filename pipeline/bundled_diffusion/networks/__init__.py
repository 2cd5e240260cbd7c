"""The networks of the bundled Stable Diffusion: architecture, saving and inference."""
