"""humandetect.toml: a table per command, and `[defaults]` for what means the same in all of them."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from humandetect.config.commands import COMMANDS, fields_of_command
from humandetect.config.option import Field
from humandetect.config.toml_lines import read_toml, toml_lines
from humandetect.errors import UsageError

NAME = "humandetect.toml"
VARIABLE = "HUMANDETECT_CONFIG"
DEFAULTS = "defaults"

Key = tuple[str, ...]


def find_file(path: str | None, environment: Mapping[str, str]) -> "SettingsFile | None":
    """Read the file at `path`, else the one that the environment names, else ./humandetect.toml if it is there."""
    named = path or environment.get(VARIABLE)
    if not named and not Path(NAME).is_file():
        return None
    return SettingsFile(Path(named or NAME))


class SettingsFile:
    """A humandetect.toml without a fault. Raises UsageError, which names the line, of every other."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._text, values = read_toml(path, what="the settings")
        self._values = dict(_leaves(values))
        for key, value in self._values.items():
            self._check(key, value)

    def find(self, command: str, field: Field) -> tuple[Any, str] | None:
        """Return a field's value and the place that sets it: the command's table, or `[defaults]`."""
        for key in _places(command, field):
            if key in self._values:
                return self._read(field, key), self.place(key)
        return None

    def place(self, key: Key) -> str:
        """`humandetect.toml:3`."""
        return f"{self.path}:{self._lines.get(key, 1)}"

    def _read(self, field: Field, key: Key) -> Any:
        return field.adopt(self._values[key], f"{self.place(key)}: {key[-1]}")

    def _check(self, key: Key, value: Any) -> None:
        known = _known()
        tables = {other[:depth] for other in known for depth in range(1, len(other))}
        if isinstance(value, dict) and key in tables:
            return
        if not isinstance(value, dict) and key in known:
            self._read(known[key], key)
            return
        *table, last = key
        where = f" in [{'.'.join(table)}]" if table else ""
        if key in tables or key in known:
            raise UsageError(f"{self.place(key)}: {last!r}{where} is {'a table' if key in tables else 'no table'}")
        homes = [".".join(other[:-1]) for other in known if table == [DEFAULTS] and other[-1] == last]
        if homes:
            raise UsageError(f"{self.place(key)}: {last!r} is no default of all commands: put it in [{homes[0]}]")
        beside = [other[-1] for other in (*known, *tables) if list(other[:-1]) == table]
        near = get_close_matches(last, beside, n=1, cutoff=0)
        hint = f": did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"{self.place(key)}: there is no {last!r}{where}{hint}")

    @cached_property
    def _lines(self) -> dict[Key, int]:
        lines = toml_lines(self._text)
        return {tuple(str(name).replace("_", "-") for name in path): number for path, number in lines.items()}


def _leaves(table: Mapping[str, Any], above: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Yield each key with its value, tables included; `models_dir` is `models-dir`."""
    for name, value in table.items():
        key = (*above, name.replace("_", "-"))
        yield key, value
        if isinstance(value, dict):
            yield from _leaves(value, key)


def _places(command: str, field: Field) -> Iterator[Key]:
    if field.key:
        yield (*command.split(), *field.key)
        if field.shared:
            yield (DEFAULTS, *field.key)


@cache
def _known() -> dict[Key, Field]:
    """Return every key that may stand in the file, with a field that it sets."""
    return {
        key: field for command in COMMANDS for field in fields_of_command(command) for key in _places(command, field)
    }
