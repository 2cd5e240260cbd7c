"""The machine and the installed versions are described."""

from __future__ import annotations

from benchmarks.experiment_harness.environment import _cpu_name, machine, versions


def test_the_processor_is_named_as_in_proc_cpuinfo() -> None:
    text = "processor\t: 0\nmodel name\t: A Fine CPU @ 2 GHz\nmodel name\t: A Fine CPU @ 2 GHz\n"
    assert _cpu_name(text) == "A Fine CPU @ 2 GHz"
    assert _cpu_name("processor : 0\n")


def test_the_machine_has_cores_and_memory() -> None:
    assert machine().cores >= 1
    assert machine().memory_gib > 0


def test_versions_omit_development_packages() -> None:
    assert {"python", "gossamer", "torch", "timm"} <= versions().keys()
    assert {"pytest", "ruff"}.isdisjoint(versions())
