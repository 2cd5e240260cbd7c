"""Stage train: from kept images to a checkpoint."""
