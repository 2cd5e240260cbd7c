"""The ARM lab: what a phone's processor does with an artifact, counted and answered by an emulated one. Optional.

Set up by ``python -m benchmarks.arm64.setup``; run by ``python -m benchmarks.arm64`` and by the stage ``measure``.
"""
