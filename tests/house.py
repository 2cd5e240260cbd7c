"""Imports between Gossamer's modules and folders, and the code dependencies of each DVC stage that follow from them.

Parses the product's modules without importing them and reads dvc.yaml. DVC does not follow imports, so every stage in
dvc.yaml has to list the code it runs:

    python -m tests.house           print these lists
    python -m tests.house --write   write them to dvc.yaml

``tests/test_house.py`` enforces the rules of docs/architecture.md with the functions of this module.
"""

from __future__ import annotations

import argparse
import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
TOP_FOLDERS = ("pipeline", "export", "benchmarks")
CLI = frozenset({"pipeline.cli", "pipeline.cli_commands", "pipeline.cli_arguments", "pipeline.cli_errors"})
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
"""Stage -> the top-level folder it is in, in the order of the chain."""
FINGERPRINT = "fingerprint"
"""DVC stage before the chain, which always runs: it hashes the files that params.yaml names (dvc.yaml explains it)."""
PLUG_INS = {
    "generate": "pipeline.generate.generators",
    "curate": "pipeline.curate.verifiers",
    "convert": "export.formats",
    "measure": "export.formats",
    "gate": "export.formats",
}
"""Stage -> the package whose modules it finds by file name, which no import statement shows."""
ONE_FORMAT = "export/formats/${key}"
EXPENSIVE = frozenset({"generate", "train"})
"""Stages that must not rerun because a file changed that they do not use: single files are listed for them."""


@cache
def modules() -> dict[str, Path]:
    """Every module of the product: dotted name -> file."""
    return {module_name(path): path for folder in TOP_FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))}


def module_name(path: Path) -> str:
    """Dotted name of a file of the checkout; a package's ``__init__.py`` has the package's name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def stage_module(stage: str) -> str:
    """Module of a stage: ``FOLDER.STAGE.stage`` if the stage is a folder, else ``FOLDER.STAGE``."""
    in_folder = f"{STAGES[stage]}.{stage}.stage"
    return in_folder if in_folder in modules() else f"{STAGES[stage]}.{stage}"


def within(name: str, package: str) -> bool:
    """Whether a module is a package, or lies in it."""
    return f"{name}.".startswith(f"{package}.")


@cache
def imports(name: str) -> frozenset[str]:
    """Product modules that a module imports, at its top or inside its functions."""
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


def closure(name: str) -> set[str]:
    """A module and everything it needs: imports, their imports, and the packages these lie in."""
    needed: set[str] = set()
    stack = [name]
    while stack:
        current = stack.pop()
        if current not in needed:
            needed.add(current)
            stack += [*imports(current), *(package for package in packages(current) if package in modules())]
    return needed


def packages(name: str) -> list[str]:
    """The packages that a module lies in, innermost first, without the top-level one."""
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(len(parts) - 1, 1, -1)]


def folders() -> list[str]:
    """Folders of the product that hold modules, as paths from the root of the checkout."""
    return sorted({path.parent.relative_to(ROOT).as_posix() for path in modules().values()})


def rooms(folder: str) -> list[str]:
    """Names of the files and folders directly inside a folder, ``__init__.py`` apart."""
    return sorted(path.name for path in (ROOT / folder).iterdir() if path.name not in {"__init__.py", "__pycache__"})


def room_imports(folder: str) -> dict[str, set[str]]:
    """Modules and packages directly inside a folder -> those of the same folder that they import.

    The folder's own ``__init__.py`` is not one of them: it is the contract that everything inside may import.
    """
    package = folder.replace("/", ".")
    names = [name for name in modules() if name.startswith(f"{package}.")]
    room = {name: name.split(".")[package.count(".") + 1] for name in names}
    arrows: dict[str, set[str]] = {room[name]: set() for name in names}
    for name in names:
        arrows[room[name]] |= {room[other] for other in imports(name) if other in room} - {room[name]}
    return arrows


def circles(arrows: dict[str, set[str]]) -> set[str]:
    """Nodes of a graph that can be reached from themselves."""
    return {node for node in arrows if node in reachable(node, arrows)}


def reachable(node: str, arrows: dict[str, set[str]]) -> set[str]:
    """Nodes that can be reached from a node in one step or more."""
    reached: set[str] = set()
    stack = list(arrows[node])
    while stack:
        current = stack.pop()
        if current not in reached:
            reached.add(current)
            stack += arrows[current]
    return reached


@cache
def dvc_stages() -> dict[str, dict[str, Any]]:
    """Stages of dvc.yaml as written; of a stage with ``foreach``, what it does for each."""
    stages: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return {name: stage.get("do", stage) for name, stage in stages.items()}


def code_needed(stage: str) -> set[str]:
    """Files that the result of a stage depends on: the import closure of its command, plug-ins included."""
    names = set(command_imports(stage))
    if stage in PLUG_INS:
        names |= {name for name in modules() if name.startswith(f"{PLUG_INS[stage]}.")}
    needed = {name for start in names for name in closure(start)}
    return {modules()[name].relative_to(ROOT).as_posix() for name in needed}


def command_imports(stage: str) -> frozenset[str]:
    """Modules that the command of a stage imports in pipeline/cli.py."""
    cli = ast.parse(modules()["pipeline.cli"].read_text(encoding="utf-8"))
    command = next(node for node in cli.body if isinstance(node, ast.FunctionDef) and node.name == stage)
    return imported(command)


def code_deps(stage: str) -> list[str]:
    """Entries that cover the code of a stage in its ``deps``: folders where possible, else files, sorted.

    A folder is listed if the stage needs all of it. Of a folder that it needs in part, an expensive stage lists the
    files; other stages list the folder if there are no folders in it, which keeps dvc.yaml short. A convert stage
    lists only the format it converts to, so that a change in one format does not convert the others again.
    """
    needed, entries = code_needed(stage), set()
    if stage == "convert":
        formats = PLUG_INS[stage].replace(".", "/")
        needed -= set(files_in(formats)) - {f"{formats}/__init__.py"}
        entries.add(ONE_FORMAT)
    for folder, files in by_folder(needed).items():
        inside = files_in(folder)
        flat = all(file.rpartition("/")[0] == folder for file in inside)
        whole = needed.issuperset(inside) or (flat and stage not in EXPENSIVE)
        entries |= {folder} if whole and folder not in TOP_FOLDERS else files
    return sorted(entry for entry in entries if not covered(entry, entries - {entry}))


def by_folder(files: Iterable[str]) -> dict[str, set[str]]:
    """Files grouped by the folder that they are directly in."""
    groups: dict[str, set[str]] = defaultdict(set)
    for file in files:
        groups[file.rpartition("/")[0]].add(file)
    return groups


def files_in(folder: str) -> list[str]:
    """Modules at any depth of a folder, as paths from the root of the checkout."""
    paths = (path.relative_to(ROOT).as_posix() for path in modules().values())
    return [path for path in paths if path.startswith(f"{folder}/")]


def covered(path: str, deps: Iterable[str]) -> bool:
    """Whether a path is one of the dependencies, or lies in one that is a folder."""
    return any(path == dep or path.startswith(f"{dep}/") for dep in deps)


def is_code(dep: str) -> bool:
    """Whether an entry of ``deps`` stands for modules, present or moved away, and not for data beside them."""
    if dep.partition("/")[0] not in TOP_FOLDERS:
        return False
    path = ROOT / dep
    return dep == ONE_FORMAT or dep.endswith(".py") or not path.exists() or any(path.rglob("*.py"))


def with_code_deps(text: str) -> str:
    """The text of dvc.yaml with every stage's code dependencies brought up to date; all other lines stay."""
    return "\n".join(_with_code_deps(text.split("\n")))


def _with_code_deps(lines: list[str]) -> Iterator[str]:
    stage, bullet = "", ""
    for line in lines:
        entry = line.removeprefix(bullet) if bullet and line.startswith(bullet) else None
        if entry is None and bullet:
            yield from (f"{bullet}{dep}" for dep in code_deps(stage))
            bullet = ""
        if entry is None or not is_code(entry):
            yield line
        if line.startswith("  ") and line[2:3].isalpha() and line.endswith(":"):
            stage = line.strip(" :")
        if line.strip() == "deps:" and stage in STAGES:
            bullet = f"{line.removesuffix('deps:')}- "


def main() -> None:
    """Print the code dependencies of every stage, or write them to dvc.yaml."""
    parser = argparse.ArgumentParser(prog="python -m tests.house", description=main.__doc__)
    parser.add_argument("--write", action="store_true", help="write them to dvc.yaml instead of printing them")
    if parser.parse_args().write:
        path = ROOT / "dvc.yaml"
        path.write_text(with_code_deps(path.read_text(encoding="utf-8")), encoding="utf-8")
        return
    for stage in STAGES:
        print(f"{stage}:", *code_deps(stage), sep="\n  - ")


if __name__ == "__main__":
    main()
