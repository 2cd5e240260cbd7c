"""The small Stable Diffusion that comes with Gossamer: weights, and the code that trains it from scratch.

It is trained on Gossamer's own rendered portraits and their captions alone. ``params.yaml`` here holds all
hyper-parameters, ``training_steps`` the order of training, ``weights/README.md`` the model card.
"""
