"""The committed modules of humandetect/protos are what the generator makes of the .proto files."""

from __future__ import annotations

import filecmp
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import generate_protos  # noqa: E402


def test_the_modules_are_those_that_the_generator_writes(tmp_path: Path) -> None:
    generate_protos.generate(tmp_path)
    written = {path.relative_to(tmp_path) for path in tmp_path.rglob("*.py*")}
    assert written == {path.relative_to(ROOT) for path in (ROOT / "humandetect" / "protos").glob("*_pb2.py*")}
    for path in written:
        assert filecmp.cmp(tmp_path / path, ROOT / path, shallow=False), f"{path}: run tools/generate_protos.py"
