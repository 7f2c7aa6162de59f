"""A config can be written as the command that it came from, and shown to anybody."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from humandetect.config import CountingConfig, DetectConfig, EngineConfig, FeedConfig, SourceConfig
from humandetect.config.commands import COMMANDS, command_line, fields_of_command

SAME_IN_OTHER_WORDS = {"HUMANDETECT_ANONYMIZE", "HUMANDETECT_API_KEY", "HUMANDETECT_SCORE"}


def test_a_command_says_what_is_not_as_by_default() -> None:
    config = DetectConfig(
        ("a.mp4",), track=True, every=2, results=("a b.csv", "c.jsonl"), output=Path("out.mp4"),
        engine=EngineConfig(precision="f32"), source=SourceConfig(start_seconds=1.5),
        counting=CountingConfig(line=("gate=0,0,9,9",), per_seconds=5.0),
    )  # fmt: skip
    assert command_line(config, "a.mp4") == (
        "humandetect detect a.mp4 --start 1.5 --output out.mp4 --results 'a b.csv' --results c.jsonl"
        " --every 2 --track --precision f32 --line gate=0,0,9,9 --per 5"
    )
    assert command_line(DetectConfig(("a.mp4",))) == "humandetect detect"


def test_it_has_no_secrets() -> None:
    config = FeedConfig(("rtsp://u:pw1@camera/live",), url="http://u:pw2@host:8000", api_key="pw3")
    assert command_line(config, "rtsp://…@camera/live") == (
        "humandetect feed 'rtsp://…@camera/live' --url 'http://…@host:8000'"
    )


def test_a_variable_means_the_same_to_all_commands_that_read_it() -> None:
    meanings = defaultdict(set)
    for command in COMMANDS:
        for field in fields_of_command(command):
            meanings[field.variable or field.opt.help].add(field.opt.help)
    assert {variable for variable, said in meanings.items() if len(said) > 1} == SAME_IN_OTHER_WORDS
