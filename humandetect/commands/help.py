"""How commands are called: their help, the commands `help` and `version`, and mistakes in a call."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from humandetect import __version__
from humandetect.commands.running import exit_code, print_error
from humandetect.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Command(TyperCommand):
    """A command whose help names no type of its flags."""

    def get_params(self, ctx: Any) -> list[Any]:
        parameters = _without_types(super().get_params(ctx))
        parameters[-1].rich_help_panel = "Messages"  # --help itself
        return parameters


class Commands(TyperGroup):
    """A table of commands, each imported only when it is called: half of the time of `--help` went there.

    A mistake in the way one is called is one line, like all other errors.
    """

    table: ClassVar[Mapping[str, tuple[str, str]]]
    """By name: the function, as `module:name` in `humandetect.commands`, and what the list says of it."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        listed = {name: TyperCommand(name, help=said) for name, (_, said) in self.table.items()}
        self.commands = {**listed, **self.commands}

    def load(self, name: str) -> Any:
        """Import a command, or return the group of commands that has the name."""
        if name not in self.table:
            return self.commands[name]
        module_name, _, function = self.table[name][0].partition(":")
        module = import_module(f"humandetect.commands.{module_name}")
        lone = typer.Typer(add_completion=False)
        epilog = examples(getattr(module, "EXAMPLES", ())) if function == module_name else None
        lone.command(name, cls=Command, epilog=epilog)(getattr(module, function))
        return typer.main.get_command(lone)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find a command of two words before that of its first: `scene check` stands beside `scene`."""
        words = " ".join(args[:2])
        name, found, rest = super().resolve_command(ctx, [words, *args[2:]] if words in self.commands else args)
        return name, found and self.load(found.name or ""), rest

    def get_params(self, ctx: Any) -> list[Any]:
        return _without_types(super().get_params(ctx))

    def main(self, *args: Any, **extra: Any) -> Any:
        standalone = extra.pop("standalone_mode", True)
        extra["standalone_mode"] = False
        if not standalone:
            return super().main(*args, **extra)
        try:
            code = super().main(*args, **extra)
        except TyperException as error:
            if said := _said(error):  # else it has shown the help
                print_error(UsageError(said))
            code = exit_code(UsageError())
        sys.exit(code)


def _without_types(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
    return parameters


def _said(error: TyperException) -> str:
    """Return the message, with the nearest option."""
    near = getattr(error, "possibilities", None)
    said = f"{error.message}. Did you mean {near[0]}?" if near else error.format_message()
    return said[:1].lower() + said[1:]


def examples(commands: Sequence[str]) -> str:
    """Return the end of a help text: commands as they are typed."""
    lines = (line if line.startswith("HUMANDETECT_") else f"humandetect {line}" for line in commands)
    return "\n".join(["[bold]Examples[/bold]", *lines])


def show_help(
    context: typer.Context, names: Annotated[list[str] | None, typer.Argument(metavar="COMMAND", hidden=True)] = None
) -> None:
    """Show how COMMAND is used."""
    root = context.find_root()
    root.command.main([*(names or ()), "--help"], prog_name=root.info_name)


def print_version() -> None:
    """Print the version."""
    typer.echo(f"humandetect {__version__}")
