"""Reads YAML: one document of plain values, within limits, with every key written once.

Anyone may write a policy or a model card, and a few hundred bytes of YAML can stand for gigabytes: aliases of aliases,
or thousands of nested lists. So events are counted before anything is built: size, depth, and the number of values with
every alias expanded. A key that is written twice is an error; by itself, YAML keeps the last one silently. Follows
YAML 1.1 as PyYAML does: ``yes``, ``no``, ``on`` and ``off`` without quotes are true or false.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from pipeline.errors import GossamerError, cut, shown

MAX_BYTES = 1_000_000
"""Largest file."""
MAX_DEPTH = 40
"""Most sections and lists around one value."""
MAX_VALUES = 100_000
"""Most values, sections and lists, with every alias replaced by what it stands for."""
MAX_PROBLEMS = 20
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE = "tag:yaml.org,2002:merge"


class YamlError(ValueError):
    """Text that is not YAML, or not within the limits; the message begins with the line where it has one."""


class _Loader(_LOADER):  # type: ignore[misc, valid-type]
    """PyYAML's safe loader; whatever a value raises is an error of YAML, with its line."""

    def construct_object(self, node: Node, deep: bool = False) -> Any:  # noqa: ANN401 - PyYAML's
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, TypeError, ArithmeticError) as error:
            kind, text = node.tag.rpartition(":")[2], shown(node.value) if isinstance(node, ScalarNode) else "it"
            problem = f"{text} is no {kind}; expected one, or text in quotes"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error


def read_yaml(path: Path, kind: type[GossamerError], missing: str = "expected a file") -> Any:  # noqa: ANN401
    """Read a file.

    Args:
        path: The file.
        kind: Error to raise.
        missing: How the error continues where there is no such file.

    Raises:
        GossamerError: Of ``kind``: the file is missing, cannot be read, or is not YAML within the limits.
    """
    try:
        data = _read(path)
    except FileNotFoundError as error:
        raise kind(f"{path} is missing; {missing}") from error
    except (IsADirectoryError, NotADirectoryError) as error:
        raise kind(f"{path}: a folder, or below a file; expected a file of YAML") from error
    except OSError as error:
        raise kind(f"{path}: cannot be read ({error.strerror}); expected a file of YAML that you may read") from error
    try:
        return parse_yaml(data)
    except YamlError as error:
        raise kind("\n".join(f"{path}{line}" for line in str(error).splitlines())) from error


def parse_yaml(data: bytes | str) -> Any:  # noqa: ANN401 - any YAML value
    """Build the values of one document.

    Raises:
        YamlError: It is not UTF-8, not YAML, too large, or has a key twice. Each line of the message is a problem, and
            begins with " line N: " or ": ".
    """
    if len(data) > MAX_BYTES:
        raise YamlError(f": larger than {MAX_BYTES:,} bytes; expected a file of values, which is smaller")
    text = _decode(data) if isinstance(data, bytes) else data
    try:
        _check_limits(text)
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
            problems = [] if root is None else list(_repeated_keys(loader, root))
            if problems:
                raise YamlError("\n".join(problems[:MAX_PROBLEMS]))
            return None if root is None else loader.construct_document(root)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise YamlError(_explain(error)) from error


def _read(path: Path) -> bytes:
    """Read a file, at most one byte more than is allowed: a device or a huge file does not fill the memory."""
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        found = f"byte 0x{data[error.start]:02x} is not UTF-8"
        raise YamlError(f" line {line}: {found}; expected UTF-8; save the file as UTF-8") from error


def _explain(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f" line {mark.line + 1}" if mark is not None else ""
    parts = [getattr(error, "context", None), getattr(error, "problem", None)]
    return f"{place}: not YAML: {cut(', '.join(filter(None, parts)) or str(error))}"


@dataclass(slots=True)
class _Counter:
    """Counts values with aliases expanded, event by event.

    Attributes:
        open: Anchor and number of values of each section or list that is not closed yet; the first is the document.
        sizes: Anchor -> number of values that it stands for.
    """

    open: list[tuple[str | None, int]] = field(default_factory=lambda: [(None, 0)])
    sizes: dict[str, int] = field(default_factory=dict)

    def add(self, count: int) -> int:
        """Count values into the innermost open section; returns its number of values."""
        anchor, total = self.open[-1]
        self.open[-1] = (anchor, total + count)
        return total + count

    def alias(self, anchor: str) -> int:
        """Count what an alias stands for; one within its own anchor would never end."""
        if any(name == anchor for name, _ in self.open):
            raise YamlError(f": *{cut(anchor, 40)} stands within itself; expected values that end")
        return self.add(self.sizes.get(anchor, 1))

    def close(self) -> int:
        """Close a section or list, and count it with its values into the one around it."""
        anchor, total = self.open.pop()
        if anchor is not None:
            self.sizes[anchor] = total + 1
        return self.add(total + 1)


def _check_limits(text: str) -> None:
    counter = _Counter()
    for event in yaml.parse(text, Loader=_LOADER):
        total = 0
        if isinstance(event, yaml.AliasEvent):
            total = counter.alias(event.anchor or "")
        elif isinstance(event, yaml.ScalarEvent):
            counter.sizes |= {event.anchor: 1} if event.anchor else {}
            total = counter.add(1)
        elif isinstance(event, yaml.CollectionStartEvent):
            counter.open.append((event.anchor, 0))
        elif isinstance(event, yaml.CollectionEndEvent):
            total = counter.close()
        line = event.start_mark.line + 1 if event.start_mark else 0
        if len(counter.open) > MAX_DEPTH:
            raise YamlError(f" line {line}: more than {MAX_DEPTH} lists and sections within each other")
        if total > MAX_VALUES:
            raise YamlError(f" line {line}: more than {MAX_VALUES:,} values, with what aliases stand for")


def _repeated_keys(loader: _Loader, root: Node) -> Iterator[str]:
    """Describe every key that a section has twice, with both lines."""
    nodes: list[tuple[Node, tuple[str, ...]]] = [(root, ())]
    visited = {root}  # an alias leads to the same node again
    while nodes:
        node, place = nodes.pop()
        inner: list[tuple[Node, tuple[str, ...]]] = []
        if isinstance(node, SequenceNode):
            inner = [(value, (*place, str(number))) for number, value in enumerate(node.value)]
        lines: dict[object, int] = {}
        for key, value in node.value if isinstance(node, MappingNode) else ():
            line = key.start_mark.line + 1
            if not isinstance(key, ScalarNode):
                yield f" line {line}: {'.'.join(place) or 'a key'}: a list or section as a key; expected text"
                continue
            here, name = (*place, cut(key.value, 40)), _key(loader, key)
            if name in lines:
                yield f" line {line}: {'.'.join(here)}: given twice, first in line {lines[name]}; expected it once"
            lines.setdefault(name, line)
            inner.append((value, here))
        nodes += [(value, here) for value, here in reversed(inner) if value not in visited]
        visited |= {value for value, _ in inner}


def _key(loader: _Loader, key: ScalarNode) -> object:
    """A key as Python compares it: ``on`` and ``yes`` are one key."""
    return key.value if key.tag == _MERGE else (key.tag, loader.construct_object(key))
