"""The command `config` and the file humandetect.toml, as a person meets them."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from humandetect.config.commands import COMMANDS
from tests.command_line import error_line, frame_lines, invoke

FILE = """\
[defaults]
score = 0.3
device = "cpu"

[detect]
every = 2

[detect.serving]
token = "not-to-be-seen"
"""


@pytest.fixture(autouse=True)
def settings_file(in_tmp_path: None) -> Path:
    path = Path("humandetect.toml")
    path.write_text(FILE)
    return path


def test_it_says_what_is_set_and_where() -> None:
    run = invoke("config", "detect", "--json", "--", "--score", "0.4", HUMANDETECT_LIMIT="7")
    settings = json.loads(run.stdout)["detect"]
    found = {key: (settings[key]["value"], settings[key]["where"]) for key in ("score", "limit", "every", "device")}
    assert found == {
        "score": (0.4, "--score"),
        "limit": (7, "HUMANDETECT_LIMIT"),
        "every": (2, "humandetect.toml:6"),
        "device": ("cpu", "humandetect.toml:3"),
    }
    assert settings["precision"] == {"value": "auto", "source": "default", "where": None}


@pytest.mark.parametrize(
    ("call", "said"), [("scene check -- a.toml b.mp4 --start 3", "# --start"), ("models list -- --json", "# --json")]
)
def test_commands_of_two_words_are_commands(call: str, said: str) -> None:
    assert said in invoke("config", *call.split()).stdout


def test_what_it_prints_is_a_settings_file_that_says_the_same() -> None:
    printed = invoke("config", HUMANDETECT_MODEL='a "quoted" name').stdout
    assert tomllib.loads(printed)["detect"]["every"] == 2
    Path("humandetect.toml").write_text(printed)
    again = json.loads(invoke("config", "--json").stdout)
    assert again["detect"]["model"]["value"] == 'a "quoted" name'
    assert again["detect"]["model"]["source"] == "file"
    assert list(again) == list(COMMANDS)


def test_secrets_are_not_printed() -> None:
    for arguments in (["config"], ["config", "detect", "--json"]):
        said = invoke(*arguments).stdout
        assert "humandetect.toml:9" in said
        assert "not-to-be-seen" not in said


def test_a_command_does_what_the_file_says() -> None:
    Path("other.toml").write_text('[detect]\nlimit = 2\nresults = ["-"]\n')
    for run in (
        invoke("detect", "sample", "--config", "other.toml"),
        invoke("detect", "sample", HUMANDETECT_CONFIG="other.toml"),
    ):
        assert len(frame_lines(run.stdout)) == 2, run.stderr


def test_a_mistake_in_the_file_is_one_line(settings_file: Path) -> None:
    settings_file.write_text("[detect]\nscroe = 0.4\n")
    run = invoke("detect", "sample")
    assert run.returncode == 2
    assert error_line(run) == "error: humandetect.toml:2: there is no 'scroe' in [detect]: did you mean 'score'?"


def test_a_file_that_is_not_there_is_named() -> None:
    run = invoke("detect", "sample", "--config", "nowhere.toml")
    assert run.returncode == 2
    assert "'nowhere.toml'" in error_line(run)


def test_what_only_one_command_means_is_no_default(settings_file: Path) -> None:
    settings_file.write_text('[defaults]\nendpoint = "v1"\n')
    run = invoke("detect", "sample")
    assert error_line(run) == "error: humandetect.toml:2: 'endpoint' is no default of all commands: put it in [feed]"
