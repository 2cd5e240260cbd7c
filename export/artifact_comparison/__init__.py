"""Differences between two artifacts: decisions, probabilities, and the signal-to-noise ratio of every layer."""
