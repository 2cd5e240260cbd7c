"""Where an artifact departs from its checkpoint: decisions, probabilities, and signal-to-noise ratio per layer."""
