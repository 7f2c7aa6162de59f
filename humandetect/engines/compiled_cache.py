"""Compiled models kept between runs, in the user's cache folder. Knows bytes, not engines; never fails its caller."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from contextlib import suppress
from pathlib import Path

import platformdirs

logger = logging.getLogger(__name__)

KEEP_BYTES = 256 * 1024 * 1024
_DIGEST_BYTES = hashlib.sha256().digest_size


class CompiledCache:
    """Files named by their key: a checksum, then the compiled model.

    Several processes may share the folder: files appear whole by renaming, and a damaged one is treated as absent.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or platformdirs.user_cache_path("humandetect", appauthor=False) / "compiled"

    def load(self, key: str) -> bytes | None:
        """Fetch what was saved under `key`; None where there is nothing sound."""
        path = self._path(key)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        blob = content[_DIGEST_BYTES:]
        if hashlib.sha256(blob).digest() != content[:_DIGEST_BYTES]:
            logger.info("ignoring damaged compiled model %s", path)
            return None
        with suppress(OSError):  # a folder shared read-only has no times of use
            path.touch()
        return blob

    def save(self, key: str, blob: bytes) -> None:
        """Keep `blob` under `key` if the folder can be written, and forget what was not used for longest."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.folder, suffix=".tmp", delete=False) as file:
                temporary = Path(file.name)
                try:
                    file.write(hashlib.sha256(blob).digest() + blob)
                    file.close()
                    temporary.replace(self._path(key))
                finally:
                    temporary.unlink(missing_ok=True)
            self._trim()
        except OSError as error:
            logger.info("compiled model not kept: %s", error)

    def _path(self, key: str) -> Path:
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.blob"

    def _trim(self) -> None:
        """Delete the files used longest ago until the rest fits; the newest always stays."""
        files = sorted(
            ((path.stat().st_mtime_ns, path.stat().st_size, path) for path in self.folder.iterdir()), reverse=True
        )
        total = 0
        for position, (_, size, path) in enumerate(files):
            total += size
            if position and total > KEEP_BYTES:
                path.unlink(missing_ok=True)
