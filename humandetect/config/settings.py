"""What a command is told: options before variables, variables before humandetect.toml, the file before defaults."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from humandetect.config.commands import command_of
from humandetect.config.fields import built, check_use, fields_of
from humandetect.config.file import SettingsFile, find_file
from humandetect.config.option import Field
from humandetect.errors import UsageError

C = TypeVar("C")

Options = Mapping[tuple[str, ...], str | list[str] | bool]
"""What stands on the command line, by the paths of fields."""


@dataclass(frozen=True, slots=True)
class Setting:
    """The value of a field, and where it comes from."""

    field: Field
    value: Any
    source: Literal["option", "variable", "file", "default"]
    where: str = ""
    """`--score`, `HUMANDETECT_SCORE` or `humandetect.toml:3`."""


def settings_of(
    config: type,
    *,
    options: Options | None = None,
    environment: Mapping[str, str] | None = None,
    file: SettingsFile | None = None,
) -> list[Setting]:
    """Find the value of every field of a command's config. Raises UsageError, which names what is wrong."""
    environment = os.environ if environment is None else environment
    return [_setting(field, command_of(config), options or {}, environment, file) for field in fields_of(config)]


def _setting(
    field: Field, command: str, options: Options, environment: Mapping[str, str], file: SettingsFile | None
) -> Setting:
    given = options.get(field.path)
    if given not in (None, (), []):  # but an empty text is given, and may be a mistake: a key that was never set
        name = field.names[0] if field.names else field.opt.metavar
        return Setting(field, field.adopt(given, name), "option", name)
    text = environment.get(field.variable or "")
    if text and field.variable:
        value = field.adopt(text.split() if field.many else text, field.variable)
        return Setting(field, value, "variable", field.variable)
    found = file and file.find(command, field)
    if found:
        return Setting(field, found[0], "file", found[1])
    return Setting(field, field.default, "default")


def config_of(config: type[C], settings: Iterable[Setting]) -> C:
    """Make a config of what was found. Raises UsageError, which names what was set out of sight of the command line."""
    given = [setting for setting in settings if setting.source != "default"]
    try:
        made = built(config, {setting.field.path: setting.value for setting in given})
    except UsageError as error:  # of several values that do not go together
        unseen = [setting.where for setting in given if setting.source != "option"]
        raise UsageError(f"{error} (set by {', '.join(unseen)})" if unseen else str(error)) from None
    for setting in given:
        if setting.source == "option":  # what is set for several commands need not mean something to each
            check_use(setting.field, made)
    return made


def config_from_environment(config: type[C], environment: Mapping[str, str] | None = None) -> C:
    """Make a command's config as variables and humandetect.toml say, for whoever starts without a command line."""
    environment = os.environ if environment is None else environment
    return config_of(config, settings_of(config, environment=environment, file=find_file(None, environment)))
