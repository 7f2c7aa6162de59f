"""`doctor` tries what a run may need, each within bounds, and takes what nobody set up for no fault."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from humandetect import doctor
from humandetect.config import EngineConfig
from humandetect.doctor import Check, check_everything
from humandetect.engines import ENGINES
from humandetect.media.sources import open_source
from tests.builders import make_clip
from tests.fakes import FakeEngine

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _only_what_is_asked_about(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No engine of this process, which tests of the command try, no cameras and no display."""
    remote = {name: entry for name, entry in ENGINES.items() if entry.remote}
    monkeypatch.setattr(doctor, "ENGINES", remote)
    monkeypatch.setattr(doctor, "DEVICES", tmp_path / "dev")
    for variable in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(variable, raising=False)


def checks(**options: Any) -> dict[str, Check]:
    return {check.name: check for check in check_everything(**options)}


def cameras(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, count: int, opened: Any) -> Check:
    (tmp_path / "dev").mkdir()
    for number in range(count):
        (tmp_path / "dev" / f"video{number}").touch()
    monkeypatch.setattr("humandetect.media.sources.open_source", opened)
    return doctor._try("cameras", lambda: doctor._within(doctor.CAMERAS_SECONDS, doctor._look_for_cameras), "fix")


def test_what_is_not_set_up_is_told_and_no_fault() -> None:
    found = checks()
    assert all(check.well for check in found.values())
    assert "sizes small 264x352, default 384x512, far 480x640" in found["model human_detection"].detail
    assert found["engine tf-serving"].detail.startswith("no server named by --serving; one of its own ")
    assert found["cameras"].detail.startswith("none: there is no ")
    assert found["display"].detail.startswith("none: --show needs one")


def test_a_server_that_is_named_and_away_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "SERVER_SECONDS", 0.3)
    check = checks(servers=("127.0.0.1:1",))["engine tf-serving"]
    assert not check.well
    assert "127.0.0.1:1" in check.detail


def test_the_time_of_a_frame_is_without_what_the_first_one_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    class SlowAtFirst(FakeEngine):
        def infer(self, images: Any) -> Any:
            clock[0] += 0.01 * len(images) if self.calls else 3.0
            return super().infer(images)

    monkeypatch.setattr(doctor, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    monkeypatch.setattr(doctor, "load_engine", lambda _: SlowAtFirst())
    frames = [doctor._blank_frame()] * 2
    assert "10 ms each, started in 3.0 s" in doctor._infer(EngineConfig(), frames)[0]


def test_a_display_that_does_not_answer_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":997")
    check = checks()["display"]
    assert (check.well, "does not answer" in check.detail) == (False, True)


def test_a_camera_is_shown_with_its_size_whatever_its_other_devices_say(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "clip.mp4")
    check = cameras(monkeypatch, tmp_path, 2, lambda name, part: open_source(str(clip) if name == "1" else "gone"))
    assert check == Check("cameras", True, "number 1 (64 x 48)")


def test_cameras_of_which_none_opens_are_a_fault_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    check = cameras(monkeypatch, tmp_path, 1, lambda name, part: open_source(str(tmp_path / "gone.mp4")))
    assert not check.well
    assert "gone.mp4" in check.detail


def test_a_camera_that_hangs_holds_up_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "CAMERAS_SECONDS", 0.1)
    hangs = threading.Event()
    check = cameras(monkeypatch, tmp_path, 1, lambda name, part: hangs.wait(60))
    assert check == Check("cameras", False, "no answer within 0.1 s", "fix")
    hangs.set()
