"""How commands are called: help, version, and mistakes in a call."""

from __future__ import annotations

import subprocess
import sys

import pytest

from humandetect import __version__
from tests.command_line import error_line, invoke


def test_help_loads_nothing_heavy() -> None:
    heavy = ["numpy", "cv2", "av", "openvino", "tensorflow", "supervision", "grpc", "fastapi", "httpx", "tqdm", "scipy"]
    probe = (
        "import sys\nfrom humandetect.cli import app\n"
        "try:\n    app(['detect', '--help'])\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert run.stderr.strip() == "[]"


def test_the_list_of_commands_imports_none_of_them() -> None:
    probe = (
        "import sys\nfrom humandetect.cli import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        "print([name for name in sys.modules if name.startswith('humandetect.co')], file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert run.stderr.strip() == "['humandetect.commands', 'humandetect.commands.running', 'humandetect.commands.help']"


@pytest.mark.parametrize("arguments", [["--version"], ["version"]])
def test_version(arguments: list[str]) -> None:
    assert invoke(*arguments).stdout == f"humandetect {__version__}\n"


@pytest.mark.parametrize("command", ["detect", "models list"])
def test_help_of_a_command_is_its_help(command: str) -> None:
    shown = invoke("help", *command.split())
    assert shown.returncode == 0
    assert shown.stdout == invoke(*command.split(), "--help").stdout
    assert f"humandetect {command} [OPTIONS]" in shown.stdout


def test_help_has_examples_and_names_no_types() -> None:
    shown = invoke("detect", "--help").stdout
    assert "humandetect detect street.mp4 -o people.mp4" in shown
    assert not [kind for kind in ("<bool>", "<list[", "<str>") if kind in shown]
    assert "<" not in invoke("--help").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["detect", "a.mp4", "--scroe", "0.3"], "did you mean --score?"),
        (["detekt"], "did you mean 'detect'?"),
        (["models", "lst"], "did you mean 'list'?"),
        (["help", "detekt"], "did you mean 'detect'?"),
        (["config", "detekt"], "'detekt'"),
        (["detect"], "source"),
        (["detect", "a.mp4", "--score"], "--score"),
        (["serve", "more"], "more"),
    ],
)
def test_a_mistake_in_a_call_is_one_line_that_names_the_nearest(arguments: list[str], words: str) -> None:
    run = invoke(*arguments)
    assert run.returncode == 2
    assert words in error_line(run).lower()
    assert len(run.stderr.splitlines()) == 1


def test_no_command_is_help_and_a_usage_error() -> None:
    run = invoke()
    assert run.returncode == 2
    assert "Commands" in run.stdout
    assert run.stderr == ""


@pytest.mark.parametrize(
    ("words", "expected"),
    [("humandetect det", "detect"), ("humandetect detect --dev", "--device"), ("humandetect detect --device g", "gpu")],
)
def test_shells_complete_commands_options_and_choices(words: str, expected: str) -> None:
    last = str(len(words.split()) - 1)
    shown = invoke(_HUMANDETECT_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=last)
    assert shown.stdout.split() == [expected], shown.stderr
