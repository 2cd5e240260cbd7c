"""Stage prompts: from a policy to captions."""
