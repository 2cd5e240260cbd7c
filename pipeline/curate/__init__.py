"""Stage curate: which images are kept, which are rejected, and why."""
