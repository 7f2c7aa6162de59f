"""The files of deploy/, read as the tools that use them would."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import typer
import yaml

from humandetect.cli import app

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"

SERVING_FLAGS = {
    "port", "rest_api_port", "model_config_file", "enable_batching", "batching_parameters_file",
    "monitoring_config_file", "grpc_max_threads", "max_num_load_retries", "grpc_channel_arguments",
}  # fmt: skip
"""Those of tensorflow_model_server's that we use, as its main.cc spells them."""


def parse_command(arguments: list[str]) -> dict[str, Any]:
    """Parse arguments as `humandetect` does and return its options as text; raises where it would refuse them."""
    command: Any = typer.main.get_command(app)
    rest = list(arguments)
    context = None
    while hasattr(command, "commands"):
        context = command.make_context("humandetect", [], parent=context, resilient_parsing=True)
        _, command, rest = command.resolve_command(context, rest)
    texts: dict[str, Any] = command.make_context(command.name, rest, parent=context).params
    names = {param.name: max(param.opts, key=len).strip("-").replace("-", "_") for param in command.params}
    return {names[name]: text for name, text in texts.items()}


def parse_copy_models(arguments: list[str]) -> dict[str, Any]:
    """Parse what copy-models hands on; return its options."""
    return parse_command(["models", "export-warmup", *arguments])


def serving_flags(arguments: list[str]) -> dict[str, str]:
    """Read --name=value flags."""
    flags = dict(argument.removeprefix("--").split("=", 1) for argument in arguments)
    assert set(flags) <= SERVING_FLAGS
    return flags


def load(path: Path) -> list[Any]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def dockerfile() -> list[tuple[str, list[str]]]:
    """Return the Dockerfile's instructions, each with its arguments."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = (line.split(maxsplit=1) for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return [(name, [rest] if rest.startswith("[") or name == "RUN" else shlex.split(rest)) for name, rest in lines]
