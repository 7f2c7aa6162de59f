"""What a field says of itself, and that nobody gets past it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from humandetect.config import (
    AnalyzeConfig,
    ArchiveConfig,
    CountingConfig,
    FeedConfig,
    ServeConfig,
    ServingConfig,
    SourceConfig,
)
from humandetect.config.commands import COMMANDS
from humandetect.config.fields import fields_of
from humandetect.config.option import seconds
from humandetect.errors import UsageError
from tests.command_line import error_line, invoke

CONFIGS = list(dict.fromkeys(config for configs in COMMANDS.values() for config in configs))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("90", 90), ("1.5", 1.5), ("1:30", 90), ("1:02:03.5", 3723.5), ("0:05", 5), ("75:00", 4500), ("2:5", 125)),
        *(("90s", 90), ("5m", 300), ("1.5h", 5400)),
    ],
)
def test_times_are_read_as_people_write_them(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "soon", "5:99", "1:99:00", "1:2:3:4", "-1:30", "1:-30", ":30", "1:"])
def test_what_no_clock_shows_is_no_time(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  it has no message: callers have a better one
        seconds(text)


@pytest.mark.parametrize("config", CONFIGS)
def test_a_secret_is_in_no_repr(config: type) -> None:
    shown = {field.name for field in fields(config) if field.repr}
    assert not [field.name for field in fields_of(config) if field.opt.secret and field.name in shown]


def test_a_config_shows_itself_without_secrets() -> None:
    config = ServeConfig(api_key="not-to-be-seen")
    assert "not-to-be-seen" not in repr(config)
    assert "port=8000" in repr(config)


def test_a_message_has_no_secret_in_it() -> None:
    wrong: Any = ("not-to-be-seen",)
    with pytest.raises(UsageError, match="token must be text, got something else"):
        ServingConfig(token=wrong)


def test_a_path_may_be_given_as_text() -> None:
    assert CountingConfig(scene="door.toml", counts="counts.csv").counts == Path("counts.csv")  # type: ignore[arg-type]
    assert AnalyzeConfig(("a.jsonl",), results=("b.csv",)).files == (Path("a.jsonl"),)


def test_an_empty_text_is_no_path() -> None:
    wrong: Any = ""
    with pytest.raises(UsageError, match="out must be a path, got ''"):
        ArchiveConfig(out=wrong)
    for arguments in (["archive", "a.mp4", "--out", ""], ["detect", "a.mp4", "-o", ""], ["analyze", ""]):
        run = invoke(*arguments)
        assert (run.returncode, "must be a path, got ''" in error_line(run)) == (2, True)


def test_one_string_is_not_taken_for_many() -> None:
    wrong: Any = "a:1"
    with pytest.raises(UsageError, match="targets must be a tuple, even if there is one"):
        ServingConfig(targets=wrong)


def test_a_switch_takes_no_number_and_a_number_no_switch() -> None:
    wrong: Any = 1
    with pytest.raises(UsageError, match="spawn must be yes or no"):
        FeedConfig(spawn=wrong)
    with pytest.raises(UsageError, match="limit must be a whole number, at least 1, got True"):
        SourceConfig(limit=True)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 0, -1])
def test_no_number_slips_through_the_bounds(number: float) -> None:
    with pytest.raises(UsageError, match=r"timeout_seconds must be seconds, H:MM:SS .*, over 0 and at most 3600"):
        ServeConfig(timeout_seconds=number)
