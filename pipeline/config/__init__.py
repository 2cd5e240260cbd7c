"""params.yaml and policies/*.yaml, checked."""
