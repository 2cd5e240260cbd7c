"""Artifacts on test sets: predictions, accuracy with intervals, and the measurement they are written to."""
