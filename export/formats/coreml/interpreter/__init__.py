"""Executes the MIL program of an .mlpackage op by op, on any machine.

It verifies that the saved program computes what the checkpoint computes: weights, layout, padding, normalisation and
labels, down to the rounding of half precision. It says nothing about Apple's hardware or its speed.
"""
