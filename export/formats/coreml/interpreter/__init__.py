"""Executes the MIL program of an .mlpackage op by op, on any machine.

It proves that the saved program says what the checkpoint says: weights, layout, padding, normalisation and labels,
down to the rounding of half precision. It proves nothing about Apple's hardware or its speed.
"""
