"""Families of the gate's checks: pure functions from figures and paired predictions to ``Check`` rows.

``benchmarks.gate.verdict`` runs them. A pass needs evidence that the limit is kept, a fail evidence that it is broken;
what the selfies at hand cannot decide is unmeasured, with the number of selfies that would.
"""
