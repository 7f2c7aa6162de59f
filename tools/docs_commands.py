"""The pages of commands and settings, from the same fields that make the options."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import typer
from docs_markdown import code, page, table

from humandetect.cli import app
from humandetect.commands.options import documented
from humandetect.config.commands import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from humandetect.config.option import Field

COMMANDS_INTRODUCTION = """\
`humandetect COMMAND --help` says the same, with examples. How values can be set without options:
[Settings](settings.md). How a command ends: [Exit codes](exit-codes.md).
"""
SETTINGS_INTRODUCTION = """\
Whatever an option says can be said without it: by an environment variable, or in a file. The option wins over the
variable, the variable over the file, the file over the default. `humandetect config` prints what holds, and where each
value comes from.

## The file

`humandetect.toml` is read where it lies in the current folder; `--config FILE` or `HUMANDETECT_CONFIG` names another.
It has a table for each command, and `[defaults]` for what means the same in all of them.

```toml
[defaults]
precision = "f32"

[detect]
every = 5

[serve]
port = 9000
api-key = "..."  # shown nowhere; let nobody else read the file

[serve.serving]
targets = ["10.0.0.5:8500", "10.0.0.6:8500"]
```

A key is the option's name without its dashes; those of TensorFlow Serving stand in a table of their own. A key that
does not exist is an error, which names the line and the nearest key.

## Variables

Switches take `1` or `0`, `true` or `false`, `yes` or `no`, `on` or `off`. What may be repeated takes values separated
by spaces. Variables and files are the place for keys and tokens: every user of a machine can read its command lines.

## All of them
"""


def commands_page() -> str:
    """Return every command with its options, by panels."""
    parts = [COMMANDS_INTRODUCTION]
    for name, command in commands():
        parts += [f"## {name}", f"```text\n{usage(name, command)}\n```", escaped(command.callback.__doc__ or "")]
        panels: dict[str, list[Field]] = defaultdict(list)
        for field in documented(name) if name in COMMANDS else ():
            if not field.opt.argument:  # the text above tells of it
                panels[field.opt.panel].append(field)
        for panel, fields in panels.items():
            parts.append(table([panel, ""], ([code(_call(field)), _meaning(field)] for field in fields)))
    return page("Commands", *parts)


def settings_page() -> str:
    """Return every variable and key of humandetect.toml with the options that they stand for."""
    where: dict[tuple[str, str], list[str]] = defaultdict(list)
    for command in COMMANDS:
        for field in documented(command):
            if field.key:
                key = " ".join([*(f"[{table}]" for table in field.key[:-1]), field.key[-1]])
                where[key, field.variable or ""].append(f"[{command}](commands.md#{command.replace(' ', '-')})")
    rows = [[*map(code, names), ", ".join(links)] for names, links in sorted(where.items())]
    return page("Settings", SETTINGS_INTRODUCTION, table(["Key", "Variable", "Commands"], rows))


def commands() -> Iterator[tuple[str, Any]]:
    """Yield each command with its name, those of groups too."""
    yield from _below(typer.main.get_command(app), "")


def _below(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    for child_name in getattr(command, "commands", ()):
        yield from _below(command.load(child_name), f"{name} {child_name}".strip())
    if not hasattr(command, "commands"):
        yield name, command


def usage(name: str, command: Any) -> str:
    context = command.context_class(command, info_name=name, resilient_parsing=True)
    return f"humandetect {name} " + " ".join(command.collect_usage_pieces(context))


def _call(field: Field) -> str:
    value = "NAME" if field.metavar == "|".join(field.choices) and field.choices else field.metavar.replace("|", " or ")
    return f"{', '.join(sorted(field.names, key=len))} {value}".rstrip()


def _meaning(field: Field) -> str:
    allowed = ", ".join(map(code, field.choices)) or ("" if field.range in field.metavar else field.range)
    default = f"default: {escaped(field.default_text)}" if field.default_text else ""
    details = "; ".join(filter(None, [allowed, default, code(field.variable or "")]))
    return f"{escaped(field.opt.help)}<br>{details}".removesuffix("<br>")


def escaped(text: str) -> str:
    """Keep names such as NAME_people.mp4 and <FILE> from being read as Markdown; what stands in backticks is safe."""
    return re.sub(r"`[^`]*`|[_<*]", lambda found: found[0] if found[0][0] == "`" else f"\\{found[0]}", text)
