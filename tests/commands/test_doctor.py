"""The command `doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from humandetect.doctor import check_everything
from humandetect.engines import ENGINES
from tests.command_line import invoke

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_doctor_tries_everything_on_the_sample() -> None:
    run = invoke("doctor")
    assert run.returncode == 0, run.stdout + run.stderr
    engines = [f"engine {name}" for name in ENGINES]
    for name in ("decode", "encode", "model human_detection", *engines, "cameras", "display"):
        assert any(line.startswith("ok") and name in line for line in run.stdout.splitlines()), run.stdout


def test_doctor_goes_on_when_the_sample_is_damaged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"not a video")
    monkeypatch.setattr("humandetect.doctor.bundled", lambda _: tmp_path / "broken.mp4")
    monkeypatch.setattr("humandetect.doctor.ENGINES", {"openvino": ENGINES["openvino"]})
    checks = {check.name: check for check in check_everything()}
    assert not checks["decode"].well
    assert "reinstall" in checks["decode"].fix
    assert checks["encode"].well
    assert checks["engine openvino"].well
