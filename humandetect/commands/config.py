"""The command `config`: what is set, and where."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from humandetect.addresses import without_secrets
from humandetect.commands.options import ConfigFile, parameter_name
from humandetect.commands.running import command
from humandetect.config.commands import COMMANDS, fields_of_command
from humandetect.config.file import find_file
from humandetect.config.settings import Setting, settings_of
from humandetect.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


EXAMPLES = ("config", "config serve", "config detect --json", "config detect -- --score 0.4")


@command
def config(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[COMMAND [-- OPTIONS]]", help="Of this command, as it is with these options."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", metavar="", help="Print them as JSON.")] = False,
    settings_file: ConfigFile = None,
) -> None:
    """Print what commands are told, and where: by an option, a variable, a line of humandetect.toml, or by default.

    It is printed in the form of that file. Secrets are left out.
    """
    name, arguments = _split(words or [])
    file = find_file(settings_file, os.environ)
    options = _options(context, name, arguments) if name and arguments else {}
    found = {
        each: [setting for own in COMMANDS[each] for setting in settings_of(own, options=options, file=file)]
        for each in ([name] if name else COMMANDS)
    }
    found = {each: [setting for setting in settings if setting.field.key] for each, settings in found.items()}
    typer.echo(json.dumps(_as_dict(found), indent=2) if as_json else "\n\n".join(_as_toml(found)))


def _split(words: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """Return the command that the words begin with, and its arguments."""
    if not words:
        return None, ()
    for count in (2, 1):
        if " ".join(words[:count]) in COMMANDS:
            return " ".join(words[:count]), words[count:]
    raise UsageError(f"there are no settings of {words[0]!r}; there are those of {', '.join(COMMANDS)}")


def _options(context: typer.Context, name: str, arguments: Sequence[str]) -> dict[tuple[str, ...], Any]:
    """Read arguments as the command would."""
    command: Any = context.find_root().command
    words = name.split()
    while words:
        _, command, words = command.resolve_command(context, words)
    for parameter in command.params:
        parameter.required = False
    texts = command.make_context(name, list(arguments)).params
    return {field.path: texts[parameter_name(field)] for field in fields_of_command(name)}


def _as_dict(found: dict[str, list[Setting]]) -> dict[str, dict[str, dict[str, Any]]]:
    return {
        name: {
            ".".join(setting.field.key): {
                "value": _shown(setting),
                "source": setting.source,
                "where": setting.where or None,
            }
            for setting in settings
        }
        for name, settings in found.items()
    }


def _as_toml(found: dict[str, list[Setting]]) -> Iterator[str]:
    """Yield the tables of a humandetect.toml; what has no value, or a secret one, is a comment in it."""
    for name, settings in found.items():
        tables: dict[tuple[str, ...], list[str]] = {}
        for setting in settings:
            value = _shown(setting)
            line = f"{setting.field.key[-1]} = {'' if value is None else json.dumps(value, ensure_ascii=False)}"
            line = line if value is not None and value == _plain(setting.value) else f"# {line}".rstrip()
            tables.setdefault(setting.field.key[:-1], []).append(f"{line:<44}  # {setting.where or 'default'}")
        for table, lines in tables.items():
            yield "\n".join([f"[{'.'.join((*name.split(), *table))}]", *lines])


def _shown(setting: Setting) -> Any:
    """Return a value without what is secret in it."""
    value = _plain(setting.value)
    if setting.field.opt.secret:
        return value and "(hidden)"
    return json.loads(without_secrets(json.dumps(value)))


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
