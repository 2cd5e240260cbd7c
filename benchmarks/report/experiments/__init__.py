"""Report sections on the results of experiments under benchmarks/results."""
