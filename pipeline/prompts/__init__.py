"""Stage prompts: a policy -> captions with noise seeds."""
