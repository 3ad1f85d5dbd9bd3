"""YAML with each key's line; duplicate keys are faults."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import yaml

Path = tuple[str, ...]

# Ten thousand instruments with overrides are some 60,000 entries. Each use of an alias counts, so that a page cannot
# stand for a billion.
MOST_LETTERS, MOST_ENTRIES = 4_000_000, 200_000


class LocatedYaml(NamedTuple):
    """``data`` as plain Python; ``lines``: key path (list items by index) to line, from 1."""

    data: object
    lines: dict[Path, int]
    problems: list[str]

    def line(self, path: Path) -> int | None:
        """The line of ``path``, or its nearest parent."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)


_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_PLAIN_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]*)(\.[0-9]*)?([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


class _Loader(yaml.SafeLoader):
    """Dates stay text: YAML would make naive ones and crash on `2024-13-01`."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own name and shape
        first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def read_yaml(text: str) -> LocatedYaml:
    """Parse one document. Syntax errors and duplicate keys become ``problems``."""
    if len(text) > MOST_LETTERS:
        return LocatedYaml(None, {}, [f"is longer than {MOST_LETTERS:,} letters"])
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return LocatedYaml(None, {}, [])
        places = list(islice(_places(node, (), ()), MOST_ENTRIES + 1))
        if len(places) > MOST_ENTRIES:
            return LocatedYaml(None, {}, [f"has more than {MOST_ENTRIES:,} entries, counting what its aliases repeat"])
        data = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        reason = ", ".join(part for part in (error.context, error.problem) if part)
        return LocatedYaml(None, {}, [f"{where}not YAML: {reason}"])
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        return LocatedYaml(None, {}, [f"not YAML: {str(error).splitlines()[0]}"])
    lines: dict[Path, int] = {}
    problems = list(_misread(node))
    for path, line in places:
        if path in lines:
            problems.append(f"line {line}: {path[-1]!r} stands twice, first on line {lines[path]}")
        lines.setdefault(path, line)
    return LocatedYaml(data, lines, problems)


def _misread(node: yaml.Node) -> Iterator[str]:
    """Numbers that YAML reads otherwise than people do: 0200 is 128, 1:30 is 90."""
    if isinstance(node, yaml.ScalarNode):
        if node.tag in _NUMBERS and not _PLAIN_NUMBER.fullmatch(node.value):
            yield f"line {node.start_mark.line + 1}: {node.value} is no plain decimal number; write it without tricks"
    elif isinstance(node, yaml.MappingNode):
        for pair in node.value:
            for part in pair:
                yield from _misread(part)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _misread(item)


def _places(node: yaml.Node, path: Path, above: tuple[yaml.Node, ...]) -> Iterator[tuple[Path, int]]:
    """Path and line of each key and item, in file order."""
    if any(node is one for one in above):
        raise ValueError(f"an alias inside {'.'.join(path)} points back to what it stands in")
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            yield (*path, name), key.start_mark.line + 1
            if name not in seen:  # skip below a duplicate key
                yield from _places(value, (*path, name), (*above, node))
            seen.add(name)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield (*path, str(index)), item.start_mark.line + 1
            yield from _places(item, (*path, str(index)), (*above, node))
