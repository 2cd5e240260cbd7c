"""Families of the gate's checks: pure functions from figures and paired answers to ``Check`` rows.

``judge`` puts them together. Three answers are possible, and each is argued for: a pass needs evidence that the limit
is kept, a fail that it is broken, and what the selfies at hand cannot tell is unmeasured, with how many more would.
"""
