"""From a checkpoint to verified artifacts for phones, and the bundle that the mobile team pulls."""
