"""Where each key of a TOML text stands; tomllib does not tell."""

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

KeyPath = tuple[str | int, ...]
"""Names of tables and keys; the entries of an array of tables are numbered from 0."""


def toml_lines(text: str) -> dict[KeyPath, int]:
    """Return the line in which each key of a valid text stands, from 1.

    The text is read statement by statement, each below the header of its table.
    """
    found: dict[KeyPath, int] = {}
    headers: Counter[KeyPath] = Counter()
    header = statement = ""
    begin = 1
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        statement += line
        is_header = statement.lstrip().startswith("[")
        try:
            values = tomllib.loads(statement if is_header else header + statement)
        except tomllib.TOMLDecodeError:  # it goes on in the next line
            continue
        if is_header:
            header = statement
            headers.update(_arrays(values))
        for path in _paths(values, headers):
            found.setdefault(path, begin)
        statement, begin = "", number + 1
    return found


def _arrays(table: Mapping[str, Any], above: KeyPath = ()) -> Iterator[KeyPath]:
    """Yield the array of tables that a header alone adds an entry to."""
    for name, value in table.items():
        if isinstance(value, list):
            yield (*above, name)
        else:
            yield from _arrays(value, (*above, name))


def _paths(table: Mapping[str, Any], headers: Counter[KeyPath], above: KeyPath = ()) -> Iterator[KeyPath]:
    for name, value in table.items():
        path = (*above, name)
        yield path
        if isinstance(value, dict):
            yield from _paths(value, headers, path)
        elif isinstance(value, list):
            first = max(headers[path] - 1, 0)  # below a header, only its own entry is read
            for number, entry in enumerate(value, first):
                if isinstance(entry, dict):
                    yield (*path, number)
                    yield from _paths(entry, headers, (*path, number))
