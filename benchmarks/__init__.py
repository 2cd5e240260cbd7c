"""From artifacts and selfies to measurements, a verdict and a report."""
