"""The model server that `--engine tf-serving` starts for itself where no other is named: a process of its own."""

from __future__ import annotations

import logging
import os
import re
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from humandetect.config.file import VARIABLE
from humandetect.engines import has_model_server
from humandetect.errors import EngineError, EngineTimeout, MissingExtra, ModelError, UsageError
from humandetect.models.find import find_model
from humandetect.models.metadata import verify
from humandetect.processes import Child

if TYPE_CHECKING:
    from collections.abc import Iterator

    from humandetect.config import EngineConfig, ServingConfig
    from humandetect.models.metadata import ModelFolder

logger = logging.getLogger(__name__)

START_SECONDS = 120
"""TensorFlow alone needs 5 to 12 on a quiet machine."""
END_SECONDS = 5
_READY = re.compile(r"gRPC at (\S+:\d+)")


class EmbeddedServer:
    """Serves one model on a free port of the loopback interface, and ends with this process."""

    def __init__(self, model: ModelFolder) -> None:
        if not has_model_server():
            raise MissingExtra(
                "--engine tf-serving without --serving starts a model server, which needs more: "
                "pip install 'humandetect[tensorflow]'; or name a server with --serving HOST:PORT"
            )
        with ExitStack() as stack:
            folder = None
            if not model.version:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="humandetect-")))
            with _pipe_of(_models_config(model, folder)) as config:
                command = ("model-server", "--models-config", f"/dev/fd/{config}", "--port", "0")
                options = ("--exit-with-stdin", "--enable-serialization-as-tensor-content")
                server = Child(
                    "humandetect", *command, *options, end_seconds=END_SECONDS, ready=_READY,
                    environment=_environment(), pass_fds=(config,),
                )  # fmt: skip
            stack.enter_context(server)
            try:
                self.target = server.wait_ready(START_SECONDS)[1]
            except TimeoutError as error:
                raise EngineTimeout(f"the model server was not ready after {START_SECONDS} s: {error}") from None
            except ChildProcessError as error:
                raise EngineError(f"the model server did not start: {error}") from None
            self._opened = stack.pop_all()
        logger.info("started a model server at %s", self.target)

    def close(self) -> None:
        """End the server; may be called twice."""
        self._opened.close()


def start_embedded(config: EngineConfig) -> tuple[EmbeddedServer, ServingConfig]:
    """Start a server for a config that names none; return it, the caller's to close, and how it is reached."""
    check_options(config)
    model = find_model(config.model, config.models_dir)
    verify(model)
    server = EmbeddedServer(model)
    serving = replace(
        config.serving, targets=(server.target,), tls=False, ca=None, cert=None, key=None, server_name=None, token=None
    )
    return server, serving


def check_options(config: EngineConfig) -> None:
    """Raise UsageError for options that only an engine in this process could follow."""
    serving = config.serving
    if not serving.targets and any(one is not None for one in (serving.model, serving.version, serving.label)):
        raise UsageError("a model, version or label is chosen on servers that you name: add --serving HOST:PORT")
    if config.device == "gpu":
        raise UsageError("the server decides where the model runs: leave out --device gpu with --engine tf-serving")
    if config.precision == "bf16":
        raise UsageError("the server decides the precision: leave out --precision bf16 with --engine tf-serving")


@contextmanager
def _pipe_of(text: str) -> Iterator[int]:
    """Yield a pipe with a short text in it: unlike a file it leaves nothing behind, however this process ends."""
    reader, writer = os.pipe()
    try:
        with os.fdopen(writer, "w", encoding="utf-8") as pipe:
            pipe.write(text)
        yield reader
    finally:
        os.close(reader)


def _models_config(model: ModelFolder, folder: Path | None) -> str:
    """Write the configuration for exactly this version; in `folder`, if it has no number, as the server wants one."""
    if model.path.is_file():
        raise ModelError(f"{model.path}: a model server takes SavedModels only; a frozen graph needs another engine")
    base_path, version = model.path.absolute().parent, model.version
    if folder is not None:
        base_path, version = folder / "versions", "1"
        base_path.mkdir()
        (base_path / version).symlink_to(model.path.absolute(), target_is_directory=True)
    return (
        f"model_config_list {{ config {{ name: {_quoted(model.name)} base_path: {_quoted(str(base_path))} "
        f'model_platform: "tensorflow" model_version_policy {{ specific {{ versions: {int(version)} }} }} }} }}\n'
    )


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _environment() -> dict[str, str]:
    """Leave out this program's own settings: those for a model server are meant for another one."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("HUMANDETECT_")}
    return {**others, VARIABLE: os.devnull}  # nor is a humandetect.toml in this folder
