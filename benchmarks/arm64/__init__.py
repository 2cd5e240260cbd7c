"""The ARM lab: counts instructions and runs inference of artifacts on an emulated phone processor. Optional.

``python -m benchmarks.arm64.setup`` sets it up; ``python -m benchmarks.arm64`` and the stage ``measure`` use it.
"""
