"""Accuracy under the distortions of a phone's camera and under integration errors."""
