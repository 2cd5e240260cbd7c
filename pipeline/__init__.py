"""From a policy to a checkpoint: prompts, images, curation, split and training."""
