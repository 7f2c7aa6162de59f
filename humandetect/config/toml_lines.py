"""TOML files whose faults are told with their line; tomllib does not tell where a key stands."""

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from humandetect.errors import UsageError

KeyPath = tuple[str | int, ...]
"""Names of tables and keys; the entries of an array of tables are numbered from 0."""


MOST_BYTES = 1 << 20
"""Of a file; ten times more than anybody writes, and a second to read."""


def read_toml(path: Path, *, what: str) -> tuple[str, dict[str, Any]]:
    """Return a file's text and what it says; `what` calls it in errors, as `the scene`. Raises UsageError."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise UsageError(f"cannot read {what} in {str(path)!r}: it has more than 1 MB, and is none")
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
        return text, tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise UsageError(f"cannot read {what} in {str(path)!r}: {reason}") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is no TOML: {error}") from error


class LocatedToml:
    """A file of TOML. A reader of one kind of them inherits it, and reads `values`."""

    def __init__(self, path: Path, *, what: str) -> None:
        """Read it; `what` calls it in errors, as `the scene`. Raises UsageError."""
        self.path = path
        text, self.values = read_toml(path, what=what)
        self._lines = toml_lines(text)

    def check_keys(self, table: Mapping[str, Any], known: Sequence[str], at: KeyPath = ()) -> None:
        """Raise UsageError, which names the nearest that is known, for any other key."""
        for key in table:
            if key not in known:
                near = get_close_matches(key, known, n=1, cutoff=0)[0]
                self.fail((*at, key), f"there is no {key!r} here: did you mean {near!r}?")

    def place(self, at: KeyPath) -> str:
        """Name the line of a key, or of the table that lacks it."""
        return f"{self.path}:{next((self._lines[at[:n]] for n in range(len(at), 0, -1) if at[:n] in self._lines), 1)}"

    def fail(self, at: KeyPath, message: str) -> NoReturn:
        """Raise UsageError at a key."""
        raise UsageError(f"{self.place(at)}: {message}")


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
