"""The model server that `--engine tf-serving` starts for itself where no other is named: a process of its own."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections import deque
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from humandetect.config.file import VARIABLE
from humandetect.engines import has_model_server
from humandetect.errors import EngineError, EngineTimeout, MissingExtra, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from humandetect.models.metadata import ModelFolder

logger = logging.getLogger(__name__)

START_SECONDS = 120
"""TensorFlow alone needs 5 to 12 on a quiet machine."""
END_SECONDS = 5
LAST_WORDS = 5
_READY = re.compile(r"gRPC at (\S+:\d+)")


class EmbeddedServer:
    """Serves one model on a free port of the loopback interface.

    It holds the other end of this process's pipe as stdin and ends with it, however this process ends.
    """

    def __init__(self, model: ModelFolder) -> None:
        if not has_model_server():
            raise MissingExtra(
                "--engine tf-serving without --serving starts a model server, which needs more: "
                "pip install 'humandetect[tensorflow]'; or name a server with --serving HOST:PORT"
            )
        self.target = ""
        self._folder = None if model.version else tempfile.TemporaryDirectory(prefix="humandetect-")
        self._said: deque[str] = deque(maxlen=LAST_WORDS)
        self._started = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        try:
            self._start(model)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the server; may be called twice."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(OSError):
                cast("IO[str]", process.stdin).close()
            process.terminate()
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            self._reader.join()
        if self._folder is not None:
            self._folder.cleanup()

    def _start(self, model: ModelFolder) -> None:
        with _pipe_of(_models_config(model, Path(self._folder.name) if self._folder else None)) as config:
            command = [sys.executable, "-m", "humandetect", "model-server", "--models-config", f"/dev/fd/{config}"]
            self._process = subprocess.Popen(
                [*command, "--port", "0", "--exit-with-stdin", "--enable-serialization-as-tensor-content"],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                env=_environment(), pass_fds=(config,),
                process_group=0,  # a Ctrl-C in the terminal is for this process, which still needs answers then
            )  # fmt: skip
        stderr = cast("IO[str]", self._process.stderr)
        self._reader = threading.Thread(target=self._listen, args=(stderr,), name="model-server", daemon=True)
        self._reader.start()
        if not self._started.wait(START_SECONDS):
            raise EngineTimeout(f"the model server was not ready after {START_SECONDS} s: {self._last_words()}")
        if not self.target:
            raise EngineError(f"the model server did not start: {self._last_words()}")
        logger.info("started a model server at %s", self.target)

    def _listen(self, stderr: IO[str]) -> None:
        """Read what the server says until it ends, or its pipe would fill up."""
        with stderr:
            for line in stderr:
                logger.debug("model server: %s", line.rstrip())
                self._said.append(line.strip())
                if not self.target and (ready := _READY.search(line)):
                    self.target = ready[1]
                    self._started.set()
        self._started.set()

    def _last_words(self) -> str:
        return " ".join(line.removeprefix("error: ") for line in self._said) or "it said nothing"


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
