"""Where work runs: each module maps jobs to results in order."""
