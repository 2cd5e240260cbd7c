"""Which source files a module depends on, read from import statements, and one hash of the code in them.

A stage that keeps work for later needs to know when its code changed. The closure of the module that computes a result
is narrower than a whole folder (an edit of the command line changes no image) and wider than a list kept by hand.
Imports inside functions count. Plug-ins are found at run time, not imported by name, so callers must pass their modules
too. Reads source files; imports nothing.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOP_FOLDERS = ("pipeline", "export", "benchmarks")
VALIDATION = frozenset({"pipeline.config.params", "pipeline.config.fields"})
"""Modules that only validate params.yaml: what they return, the values, is hashed in their place."""


def import_closure(modules: Iterable[str], root: Path = ROOT, skipped: Collection[str] = VALIDATION) -> dict[str, Path]:
    """Follow imports within Gossamer from some modules to all they need, themselves included.

    Args:
        modules: Dotted names.
        root: Folder that holds pipeline/, export/ and benchmarks/.
        skipped: Modules that are left out, with what only they import.

    Returns:
        Dotted name -> file, sorted by name; packages on the way count, the top-level ones apart.

    Raises:
        ModuleNotFoundError: One of ``modules`` is not a module below ``root``.
    """
    closure: dict[str, Path] = {}
    stack = list(modules)
    missing = [name for name in stack if find_file(name, root) is None]
    if missing:
        raise ModuleNotFoundError(f"{missing[0]}: no such module below {root}; expected a dotted name of Gossamer's")
    while stack:
        name = stack.pop()
        path = None if name in skipped or name in closure else find_file(name, root)
        if path is not None:
            closure[name] = path
            stack += [*_imported_names(path), *_packages(name)]
    return dict(sorted(closure.items()))


def find_file(name: str, root: Path = ROOT) -> Path | None:
    """Return the file of a module or package; None where the name is neither (a class, or another project's)."""
    if name.partition(".")[0] not in TOP_FOLDERS:
        return None
    place = root.joinpath(*name.split("."))
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


def hash_code(files: Iterable[Path]) -> str:
    """Hash the code of Python files; comments, docstrings and layout do not count."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(hashlib.sha256(_code(path).encode()).digest())
    return digest.hexdigest()


def _imported_names(path: Path) -> Iterator[str]:
    """Yield every dotted name that may be a module: ``from a import b`` gives ``a`` and ``a.b``."""
    for node in ast.walk(_parse(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _packages(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:length]) for length in range(2, len(parts)))


def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _code(path: Path) -> str:
    """Write a file's syntax tree out without docstrings and attribute texts: bare strings have no effect."""
    tree = _parse(path)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [statement for statement in body if not _is_text(statement)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_text(statement: ast.AST) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
