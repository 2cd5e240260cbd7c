"""Plug-ins: the modules and packages of one package. A file's name is the plug-in's name; there is no registry.

Generators, verifiers, formats and experiments are found this way; each package's docstring states what its plug-ins
must define. Reads file names, and imports only the requested plug-in.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import pkgutil
from types import ModuleType

from pipeline.errors import ParamsError, shown


def names(package: str) -> tuple[str, ...]:
    """List the plug-ins of a package in alphabetical order; those with a leading underscore are the package's own.

    Args:
        package: Dotted name, e.g. ``pipeline.generate.generators``; it is not imported, its parents are.
    """
    spec = importlib.util.find_spec(package)
    folders = None if spec is None else spec.submodule_search_locations
    modules = (module.name for module in pkgutil.iter_modules(folders or []))
    return tuple(sorted(name for name in modules if not name.startswith("_")))


def find(package: str, name: str, place: str) -> ModuleType:
    """Import one plug-in.

    Args:
        package: Dotted name of the package.
        name: Name of the plug-in.
        place: Where the name was given, e.g. ``params.yaml generate.generator``; the error begins with it.

    Raises:
        ParamsError: The package has no such plug-in; the message lists its plug-ins and suggests a similar name.
    """
    known = names(package)
    if name not in known:
        raise ParamsError(f"{place}: {shown(name)}; {expected(known, name)}")
    return importlib.import_module(f"{package}.{name}")


def expected(known: tuple[str, ...], name: str) -> str:
    """Write the second half of an error: all names, and a guess at the intended one.

    >>> expected(("coreml", "onnx", "tflite"), "onxn")
    "expected one of coreml, onnx, tflite; did you mean 'onnx'?"
    """
    alike = difflib.get_close_matches(name[:100], known, n=1)
    return f"expected one of {', '.join(known)}" + (f"; did you mean {alike[0]!r}?" if alike else "")
