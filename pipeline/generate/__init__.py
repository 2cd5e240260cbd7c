"""Stage generate: from prompts to images."""
