"""The release gate: a candidate against the accepted baseline and against absolute limits."""
