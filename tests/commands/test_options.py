"""Options from configs: all that there were, each said once, and the same config from wherever a value comes."""

from __future__ import annotations

import json
from collections import Counter
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import typer.main

from humandetect.cli import app
from humandetect.commands.options import documented, parameter_name
from humandetect.config.commands import COMMANDS, fields_of_command
from tests.command_line import error_line, humandetect, invoke

BEFORE: dict[str, list[tuple[list[str], str | None, Any]]] = json.loads(
    (Path(__file__).parent / "options_of_0_1.json").read_text()
)


def declared(command: str) -> Any:
    found: Any = typer.main.get_command(app)
    words = command.split()
    while words:
        context = found.make_context("humandetect", [*words], resilient_parsing=True)
        _, found, words = found.resolve_command(context, words)
    return found


@pytest.mark.parametrize("command", BEFORE)
def test_every_option_variable_and_default_of_0_1_is_there(command: str) -> None:
    fields = {frozenset(field.names): field for field in fields_of_command(command)}
    accepted = {frozenset(one.opts) for one in declared(command).params}
    for names, variable, default in BEFORE[command]:
        field = fields[frozenset(names)]
        assert frozenset(names) in accepted
        assert field.variable == variable
        assert (field.default or None) == (default or None)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_offers_what_its_configs_have_and_no_name_twice(command: str) -> None:
    fields = fields_of_command(command)
    offered = {one.name for one in declared(command).params}
    assert {parameter_name(field) for field in fields} == offered - {"settings_file"}
    for what in ("names", "variable", "key"):
        uses = Counter(name for field in fields for name in _each(getattr(field, what)))
        assert [name for name, count in uses.items() if count > 1] == [], what


def _each(names: Any) -> list[Any]:
    if names and isinstance(names, tuple) and names[0].startswith("-"):
        return list(names)
    return [names] if names else []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_field_has_help(command: str) -> None:
    for field in fields_of_command(command):
        assert field.opt.help.endswith("."), field.path
        assert len(field.opt.help) > 8, field.path


def test_the_reference_lists_all_but_hidden_fields() -> None:
    names = {name for field in documented("model-server") for name in field.names}
    assert "--grpc-max-threads" in names
    assert "--exit-with-stdin" not in names


def test_help_shows_each_options_variable_and_default() -> None:
    shown = " ".join(invoke("serve", "--help", COLUMNS="400").stdout.split())
    for field in documented("serve"):
        assert field.variable is None or field.variable in shown
        assert f"(default: {field.default_text})" in shown or not field.default_text


def test_commands_are_called_with_few_parameters() -> None:
    from humandetect.commands import bench, config, detect, feed, model_server, serve

    for module in (bench, config, detect, feed, model_server, serve):
        for function in vars(module).values():
            if callable(function) and getattr(function, "__module__", "") == module.__name__:
                assert len(signature(function).parameters) <= 10 or "settings_file" in signature(function).parameters


@pytest.mark.parametrize("secret", ["api-key", "serving-token"])
def test_a_secret_is_shown_nowhere(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variable = f"HUMANDETECT_{secret.upper().replace('-', '_')}"
    monkeypatch.setenv(variable, "not-to-be-seen")
    assert "not-to-be-seen" not in invoke("serve", "--help").stdout
    run = invoke("config", "serve")
    assert variable in run.stdout
    assert "not-to-be-seen" not in run.stdout


def test_a_wrong_variable_is_blamed_on_the_variable() -> None:
    run = invoke("detect", "sample", HUMANDETECT_SCORE="abc")
    assert run.returncode == 2
    assert error_line(run) == "error: HUMANDETECT_SCORE must be a number, at least 0 and at most 1, got 'abc'"


def test_a_wrong_boolean_says_what_it_may_be() -> None:
    run = invoke("detect", "sample", HUMANDETECT_SHOW="perhaps")
    assert error_line(run).startswith("error: HUMANDETECT_SHOW must be yes or no (or true, false, on, off, 1, 0)")


def test_verbose_says_in_one_line_which_file_is_read() -> None:
    Path("humandetect.toml").write_text("[defaults]\nlimit = 1\n")
    run = humandetect("models", "list", "-v")
    assert run.stderr == "INFO humandetect.settings: settings are those of humandetect.toml\n"
    assert humandetect("models", "list").stderr == ""


def test_an_empty_key_is_a_mistake_and_no_open_server() -> None:
    run = invoke("serve", "--port", "0", "--api-key", "")
    assert run.returncode == 2
    assert error_line(run) == "error: the API key is empty: leave it out to ask for none"
