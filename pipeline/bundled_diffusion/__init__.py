"""The small Stable Diffusion that Gossamer trains from scratch on its own rendered portraits and their captions."""
