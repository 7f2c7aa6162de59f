"""Options from configs: `@options_of(DetectConfig)` gives a command an option for each field, and the config."""

from __future__ import annotations

import inspect
import logging
import os
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from humandetect.commands.running import set_up_logging
from humandetect.config.commands import COMMANDS, command_of, fields_of_command
from humandetect.config.file import NAME, VARIABLE, find_file
from humandetect.config.option import Field
from humandetect.config.settings import config_of, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from humandetect.config import TalkConfig

logger = logging.getLogger("humandetect.settings")

C = TypeVar("C")
T = TypeVar("T", bound="TalkConfig")

ConfigFile = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help=f"Settings in TOML; options and variables go before. (default: ./{NAME}) [dim]{VARIABLE}[/dim]",
        rich_help_panel="Messages",
    ),
]


def options_of(config: type[C]) -> Callable[[Callable[[C, T], None]], Callable[..., None]]:
    """Give a command an option for each field of its configs; it gets its own and the one about what it says.

    Typer takes every value as text and reads no variable: what text means, and what comes first, is the same for
    options, variables and humandetect.toml, and is decided in `humandetect.config`.
    """
    command = command_of(config)
    own, talk = COMMANDS[command]
    fields = fields_of_command(command)

    def decorate(function: Callable[[C, T], None]) -> Callable[..., None]:
        def with_options(settings_file: str | None = None, **texts: Any) -> None:
            if settings_file:
                os.environ[VARIABLE] = settings_file  # for what this command starts, too
            file = find_file(settings_file, os.environ)
            options = {field.path: texts[parameter_name(field)] for field in fields}
            said = config_of(talk, settings_of(talk, options=options, file=file))
            set_up_logging(debug=said.debug, verbose=said.verbose)
            if file is not None:
                logger.info("settings are those of %s", file.path)
            function(config_of(own, settings_of(own, options=options, file=file)), said)  # type: ignore[arg-type]

        arguments = [f"{field.metavar}: {_help(field)}" for field in fields if field.opt.argument]
        with_options.__doc__ = "\n\n".join([inspect.getdoc(function) or "", *arguments])
        with_options.__name__ = function.__name__
        with_options.__annotations__ = {}
        last = inspect.Parameter("settings_file", inspect.Parameter.KEYWORD_ONLY, annotation=ConfigFile, default=None)
        with_options.__signature__ = inspect.Signature([*map(_parameter, fields), last])  # type: ignore[attr-defined]
        return with_options

    return decorate


def documented(command: str) -> list[Field]:
    """Return all that `humandetect COMMAND` can be told, in the order of its help, for the reference pages.

    Each field says its `names`, `variable`, `key` in humandetect.toml (in the table of the command, or in `[defaults]`
    where it is `shared`), `expected` type and bounds, `default` with `default_text`, and `opt.help` and `opt.panel`.
    """
    return [field for field in fields_of_command(command) if not field.opt.hidden]


def parameter_name(field: Field) -> str:
    """Return what Typer calls the field."""
    return "_".join(field.path)


def _parameter(field: Field) -> inspect.Parameter:
    return inspect.Parameter(
        parameter_name(field),
        inspect.Parameter.KEYWORD_ONLY,
        annotation=Annotated[_kind(field), _declared(field)],
        default=inspect.Parameter.empty if field.required else None,
    )


def _kind(field: Field) -> Any:
    if field.kind is bool:
        return bool | None
    kind: Any = list[str] if field.many else str
    return kind if field.required else kind | None


def _declared(field: Field) -> Any:
    if field.opt.argument:
        return typer.Argument(metavar=field.metavar, hidden=True)  # the text above the options tells of it
    return typer.Option(
        *field.names,
        help=_help(field),
        metavar=field.metavar,
        show_default=False,
        hidden=field.opt.hidden,
        rich_help_panel=field.opt.panel,
        autocompletion=(lambda: list(field.choices)) if field.choices else None,
    )


def _help(field: Field) -> str:
    default = f" (default: {field.default_text})" if field.default_text else ""
    variable = f" [dim]{field.variable}[/dim]" if field.variable else ""
    return f"{field.opt.help}{default}{variable}"
