"""The same value does the same from wherever it comes, and what stands nearest to the user wins."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from humandetect.config import (
    ArchiveConfig,
    BenchConfig,
    DetectConfig,
    FeedConfig,
    ServeConfig,
    ServingConfig,
    WatchConfig,
)
from humandetect.config.commands import COMMANDS
from humandetect.config.fields import built, fields_of
from humandetect.config.file import SettingsFile
from humandetect.config.settings import config_from_environment, config_of, settings_of
from humandetect.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from humandetect.config.option import Field

FIELDS = {
    f"{command} {'.'.join(field.path)}": (command, config, field)
    for command, configs in COMMANDS.items()
    for config in configs
    for field in fields_of(config)
}
BOUNDED = {name: found for name, found in FIELDS.items() if found[2].bounds or found[2].choices}


def outside(field: Field) -> list[Any]:
    """Return a value just past each bound, or a name that is no choice."""
    if field.choices:
        return ["nonsense"]
    steps = {"ge": -1, "gt": 0, "le": 1, "lt": 0}
    return [field.kind(getattr(bound, end) + steps[end]) for bound in field.bounds for end in bound.__slots__]


def settings_file(folder: Path, text: str) -> SettingsFile:
    path = folder / "humandetect.toml"
    path.write_text(text)
    return SettingsFile(path)


def refusal(attempt: Callable[[], object]) -> str:
    with pytest.raises(UsageError) as caught:
        attempt()
    return str(caught.value)


@pytest.mark.parametrize("name", BOUNDED)
def test_bounds_are_the_same_for_options_variables_the_file_and_python(name: str, tmp_path: Path) -> None:
    command, config, field = BOUNDED[name]
    required: dict[tuple[str, ...], Any] = {
        other.path: ("a",) if other.many else "a" for other in fields_of(config) if other.required
    }
    for value in outside(field):
        text = str(value)
        refused = f"must be {field.expected}, got "
        said = refusal(lambda: settings_of(config, options={field.path: [text] if field.many else text}))  # noqa: B023
        assert said == f"{field.names[0]} {refused}{text!r}" or said == f"{field.names[0]} {refused}{value!r}"
        said = refusal(lambda: built(config, {**required, field.path: (value,) if field.many else value}))  # noqa: B023
        assert said == f"{field.name} {refused}{value!r}"
        if field.variable:
            said = refusal(lambda: settings_of(config, environment={field.variable or "": text}))  # noqa: B023
            assert said.startswith(f"{field.variable} {refused}")
        line = f"[{'.'.join((*command.split(), *field.key[:-1]))}]\n{field.key[-1]} = {json.dumps(value)}\n"
        said = refusal(lambda: settings_file(tmp_path, line))  # noqa: B023
        assert said == f"{tmp_path}/humandetect.toml:2: {field.key[-1]} {refused}{value!r}"


@pytest.mark.parametrize("config", [configs[0] for configs in COMMANDS.values()])
def test_every_default_keeps_its_bounds(config: type) -> None:
    for field in fields_of(config):
        if not field.required:
            field.check(field.default, field.name)


def test_an_option_goes_before_a_variable_that_before_the_file_and_that_before_the_default(tmp_path: Path) -> None:
    file = settings_file(tmp_path, "[defaults]\nqueue = 100\nbatch = 2\n[serve]\nbatch = 3\nport = 1\n")
    settings = settings_of(
        ServeConfig,
        options={("port",): "3"},
        environment={"HUMANDETECT_PORT": "2", "HUMANDETECT_BATCH": "4"},
        file=file,
    )
    config = config_of(ServeConfig, settings)
    assert (config.port, config.batch, config.queue, config.workers) == (3, 4, 100, 1)
    found = {setting.field.name: (setting.source, setting.where) for setting in settings}
    assert found["port"] == ("option", "--port")
    assert found["batch"] == ("variable", "HUMANDETECT_BATCH")
    assert found["queue"] == ("file", f"{tmp_path}/humandetect.toml:2")
    assert found["workers"] == ("default", "")
    assert config_of(ServeConfig, settings_of(ServeConfig, environment={}, file=file)).batch == 3  # over [defaults]


@pytest.mark.parametrize(("text", "value"), [("1", True), ("yes", True), ("ON", True), ("false", False), ("No", False)])
def test_switches_are_said_in_several_words(text: str, value: bool) -> None:
    config = config_from_environment(ServeConfig, {"HUMANDETECT_SERVING_TLS": text})
    assert config.engine.serving.tls is value


def test_an_empty_variable_says_nothing() -> None:
    assert config_from_environment(ServeConfig, {"HUMANDETECT_PORT": "", "HUMANDETECT_API_KEY": ""}) == ServeConfig()


def test_auto_takes_back_what_a_variable_says() -> None:
    jobs = ("jobs",)
    (found,) = [
        setting.value
        for setting in settings_of(ArchiveConfig, options={jobs: "auto"}, environment={"HUMANDETECT_JOBS": "4"})
        if setting.field.path == jobs
    ]
    assert found is None
    assert refusal(lambda: settings_of(ArchiveConfig, options={jobs: "all"})) == (
        "--jobs must be auto or a whole number, at least 1 and at most 1024, got 'all'"
    )


def test_configs_within_keep_the_defaults_of_their_command() -> None:
    """`serve` waits 5 s for servers that are away, `detect` 60."""
    environment = {"HUMANDETECT_SERVING": "a:1"}
    serving = config_from_environment(ServeConfig, environment).engine.serving
    assert serving == ServingConfig(targets=("a:1",), patience_seconds=5.0)
    settings = settings_of(DetectConfig, options={("sources",): ["a.mp4"]}, environment=environment)
    assert config_of(DetectConfig, settings).engine.serving == ServingConfig(targets=("a:1",))


def test_the_application_without_a_command_line_reads_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings_file(tmp_path, "[serve]\nscore = 0.7\n")
    assert config_from_environment(ServeConfig, {}).score == 0.7
    (tmp_path / "other.toml").write_text("[serve]\nscore = 0.9\n")
    assert config_from_environment(ServeConfig, {"HUMANDETECT_CONFIG": "other.toml"}).score == 0.9


def test_what_does_not_go_together_names_what_set_it_out_of_sight() -> None:
    said = refusal(lambda: config_from_environment(ServeConfig, {"HUMANDETECT_TLS_CERT": "cert.pem"}))
    assert said.endswith("(set by HUMANDETECT_TLS_CERT)")
    options: dict[tuple[str, ...], str | list[str] | bool] = {("sweep",): True, ("rate",): "5"}
    said = refusal(lambda: config_of(BenchConfig, settings_of(BenchConfig, options=options, environment={})))
    assert "set by" not in said


@pytest.mark.parametrize(
    ("config", "option", "value", "needed"),
    [
        (WatchConfig, "--api-key", "s3cret", "--web"),
        (WatchConfig, "--most-queued", "9", "--mqtt or --webhook"),
        (WatchConfig, "--serving-token", "s3cret", "--serving"),
        (FeedConfig, "--batch", "8", "--async"),
        (DetectConfig, "--per", "60", "--counts or --report"),
    ],
)
def test_an_option_that_would_mean_nothing_names_the_one_that_it_is_about(
    config: type, option: str, value: str, needed: str
) -> None:
    (field,) = (field for field in fields_of(config) if option in field.names)
    (argument,) = (field for field in fields_of(config) if field.opt.argument)
    options: dict[tuple[str, ...], str | list[str] | bool] = {argument.path: ["a=1"], field.path: value}
    said = refusal(lambda: config_of(config, settings_of(config, options=options, environment={})))
    assert said == f"{option} means nothing without {needed}: give that, too, or leave it out"
    elsewhere = {field.variable: value} if field.variable else {}  # where it may be meant for another command
    config_of(config, settings_of(config, options={argument.path: ["a=1"]}, environment=elsewhere))


def test_both_parts_of_a_certificate_are_about_the_page() -> None:
    options: dict[tuple[str, ...], str | list[str] | bool] = {
        ("cameras",): ["a=1"], ("web", "tls_cert"): "c.pem", ("web", "tls_key"): "k.pem",
    }  # fmt: skip
    said = refusal(lambda: config_of(WatchConfig, settings_of(WatchConfig, options=options, environment={})))
    assert said.startswith("--tls-cert means nothing without --web")
    config_of(WatchConfig, settings_of(WatchConfig, options={**options, ("web", "listen"): "80"}, environment={}))
