"""The options of the commands, each described once: same name, meaning and environment variable everywhere."""

from __future__ import annotations

import re
from typing import Any

import typer


def seconds(text: str | float) -> float:
    """Read `90`, `1:30` or `1:02:03.5`; a default is a number already."""
    text = str(text)
    if not re.fullmatch(r"(\d+:){0,2}\d+(\.\d+)?", text):
        raise typer.BadParameter(f"{text!r} is not a time: use seconds or H:MM:SS")
    total = 0.0
    for part in text.split(":"):
        total = total * 60 + float(part)
    return total


READ, DETECTION, WRITE, TALK = "What is read", "How people are found", "What is written", "What is said"
REMOTE = "Which TensorFlow Serving finds them"
SERVING, ACCEPTED = "How it is served", "What is accepted"
ASKING = "How the server is asked"
ENVIRONMENT = (
    "These can be set in the environment, as HUMANDETECT_ENGINE and so on: engine, device, precision, model, "
    "models-dir, serving and all that begin with it, score, batch, every, limit, max-megapixels, preset, show, quiet, "
    "verbose, debug."
)
SERVE_ENVIRONMENT = (
    "Every option can be set in the environment, as HUMANDETECT_PORT and so on; the API key is safest there, because "
    "all users of a machine can read its command lines."
)
BENCH_ENVIRONMENT = (
    "These can be set in the environment, as HUMANDETECT_DEVICE and so on: device, precision, model, models-dir, "
    "serving, serving-model, score, api-key, quiet, verbose, debug. Which servers and engines are measured is said on "
    "the command line only."
)
FEED_ENVIRONMENT = (
    "These can be set in the environment, as HUMANDETECT_URL and so on: url, api-key, every, limit, show, quiet, "
    "verbose, debug. --batch, --workers and --timeout mean other things in `serve`, whose variables do not count here."
)


def option(panel: str, *names: str, help: str, env: str | None = None, **extra: Any) -> Any:  # noqa: A002
    """Describe an option; `env` is the part of its environment variable after HUMANDETECT_."""
    envvar = f"HUMANDETECT_{env}" if env else None
    return typer.Option(*names, help=help, envvar=envvar, show_envvar=False, rich_help_panel=panel, **extra)
