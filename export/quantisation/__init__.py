"""Static 8-bit quantisation that all formats share: ranges of activations, and the search for what stays in float."""
