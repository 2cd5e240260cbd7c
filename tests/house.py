"""The house as data: which module imports which, and what each DVC stage declares."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
ROOF = frozenset({"pipeline.cli", "pipeline.cli_commands"})
ROOMS = ("pipeline", "export", "benchmarks")
STAGES = {
    "prompts": "pipeline",
    "generate": "pipeline",
    "curate": "pipeline",
    "split": "pipeline",
    "train": "pipeline",
    "selfies": "benchmarks",
    "convert": "export",
    "measure": "benchmarks",
    "gate": "benchmarks",
    "report": "benchmarks",
}
FINDS = {
    "generate": ("pipeline.generate.generators",),
    "curate": ("pipeline.curate.verifiers",),
    "convert": ("export.formats",),
    "measure": ("export.formats",),
    "gate": ("export.formats",),
}


def stage_module(stage: str) -> str:
    """Module of a stage: ``ROOM.STAGE.stage`` where the stage is a folder, else ``ROOM.STAGE``."""
    folder = f"{STAGES[stage]}.{stage}.stage"
    return folder if folder in modules() else f"{STAGES[stage]}.{stage}"


def module_name(path: Path) -> str:
    """Dotted name of a file of the checkout."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    """Every module of the product."""
    return {module_name(path): path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))}


@cache
def imports(name: str) -> frozenset[str]:
    """Product modules that a module imports, anywhere in it."""
    return imported(ast.parse(modules()[name].read_text(encoding="utf-8"))) - {name}


def imported(tree: ast.AST) -> frozenset[str]:
    """Product modules that a piece of code imports."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & modules().keys()
            found |= inner if len(inner) == len(node.names) else {node.module, *inner}
    return frozenset(found & modules().keys())


def command_imports(stage: str) -> frozenset[str]:
    """What the command of a stage imports: the roof puts a stage's parts together."""
    roof = ast.parse(modules()["pipeline.cli"].read_text(encoding="utf-8"))
    body = next(node for node in roof.body if isinstance(node, ast.FunctionDef) and node.name == stage)
    return imported(body)


def closure(name: str) -> set[str]:
    """A module and all it needs, packages' own files included."""
    seen: set[str] = set()
    stack = [name]
    while stack:
        current = stack.pop()
        if current not in seen:
            seen.add(current)
            stack += [*imports(current), *(package for package in packages(current) if package in modules())]
    return seen


def packages(name: str) -> list[str]:
    """The packages a module lies in, innermost first; rooms' own one-line files apart."""
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(len(parts) - 1, 1, -1)]


@cache
def dvc_stages() -> dict[str, dict[str, Any]]:
    """Stages of dvc.yaml as written."""
    stages: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return stages


def code_needed(stage: str) -> set[str]:
    """Files that a stage's results depend on: what its command imports, and the plug-ins it finds by file name."""
    names = set(command_imports(stage))
    for folder in FINDS.get(stage, ()):
        names |= {name for name in modules() if name.startswith(f"{folder}.")}
    needed = {name for start in names for name in closure(start)}
    return {str(modules()[name].relative_to(ROOT)) for name in needed}
