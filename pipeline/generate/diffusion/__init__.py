"""Diffusers behind the ``stable_diffusion`` generator: presets, model sources, loading, batch size and sampling."""
