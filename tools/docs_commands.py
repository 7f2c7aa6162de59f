"""The pages of commands and settings, from the same descriptions that make the options."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import typer
from docs_markdown import code, page, table

from humandetect.cli import app

if TYPE_CHECKING:
    from collections.abc import Iterator


class Option(NamedTuple):
    """What the pages say of an argument or option."""

    panel: str
    names: str
    takes: str
    help: str
    default: str
    allowed: str
    variable: str


INTRODUCTION = """\
`humandetect COMMAND --help` says the same. How values can be set without options: [Settings](settings.md). How a
command ends: [Exit codes](exit-codes.md).
"""


def commands_page() -> str:
    """Return every command with its options, by panels."""
    parts = [INTRODUCTION]
    for name, command in commands():
        parts += [f"## {name}", f"```text\n{usage(name, command)}\n```", escaped(command.help or "")]
        panels: dict[str, list[Option]] = defaultdict(list)
        for option in options_of(command):
            panels[option.panel].append(option)
        for panel, options in panels.items():
            rows = [[code(f"{one.names} {one.takes}".strip()), _meaning(one)] for one in options]
            parts.append(table([panel, ""], rows))
    return page("Commands", *parts)


def _meaning(option: Option) -> str:
    details = [option.allowed, f"default {code(option.default)}" if option.default else "", code(option.variable)]
    return f"{escaped(option.help)}<br>{'; '.join(filter(None, details))}".removesuffix("<br>")


def settings_page() -> str:
    """Return every environment variable with the options that it stands for."""
    settings: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name, command in commands():
        for option in options_of(command):
            if option.variable:
                settings[option.variable][option.names].append(name)
    rows = [
        [code(variable), code(names), ", ".join(f"[{one}](commands.md#{one.replace(' ', '-')})" for one in where)]
        for variable, options in sorted(settings.items())
        for names, where in options.items()
    ]
    return page("Settings", SETTINGS, table(["Variable", "Option", "Commands"], rows))


SETTINGS = """\
An option on the command line wins over its environment variable, and that over the default. Switches take `1` and `0`,
`true` and `false`, `yes` and `no`; options that may be repeated take values separated by spaces. Variables are the safe
place for keys and tokens: every user of a machine can read its command lines.
"""


def commands() -> Iterator[tuple[str, Any]]:
    """Yield each command with its name, those of groups too."""
    yield from _below(typer.main.get_command(app), "")


def _below(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    for child_name, child in getattr(command, "commands", {}).items():
        yield from _below(child, f"{name} {child_name}".strip())
    if not hasattr(command, "commands"):
        yield name, command


def usage(name: str, command: Any) -> str:
    context = command.context_class(command, info_name=name, resilient_parsing=True)
    return f"humandetect {name} " + " ".join(command.collect_usage_pieces(context))


VALUES = {"str": "TEXT", "list[str]": "TEXT", "path": "PATH", "int": "N", "float": "X"}
"""What a reader should see for a type; choices and named values speak for themselves."""


def options_of(command: Any) -> Iterator[Option]:
    """Yield what can be said of a command's arguments and options; hidden ones are left out."""
    context = command.context_class(command, info_name=command.name)
    for one in command.params:
        if one.hidden or one.name == "help":
            continue
        kind = (one.metavar or one.display_type(context)).strip("<>").removesuffix(" range")
        is_switch = getattr(one, "is_flag", False)
        is_argument = one.param_type_name == "argument"
        choices = kind.split("|") if kind.islower() else []
        yield Option(
            panel=one.rich_help_panel or "Arguments",
            names=kind if is_argument else ", ".join(sorted(one.opts, key=len)),
            takes=""
            if is_switch or is_argument
            else "NAME"
            if choices[1:]
            else VALUES.get(kind, kind.replace("|", " or ")),
            default="" if is_switch or one.default is None else str(one.default),
            allowed=", ".join(map(code, choices)) if choices[1:] else _between(one.min, one.max),
            variable=one.envvar or "",
            help=one.help or "",
        )


def _between(least: float | None, most: float | None) -> str:
    match least, most:
        case None, None:
            return ""
        case _, None:
            return f"from {least:g}"
        case None, _:
            return f"up to {most:g}"
        case _:
            return f"{least:g} to {most:g}"


def escaped(text: str) -> str:
    """Keep names such as NAME_people.mp4 and <FILE> from being read as Markdown; what stands in backticks is safe."""
    return re.sub(r"`[^`]*`|[_<*]", lambda found: found[0] if found[0][0] == "`" else f"\\{found[0]}", text)
