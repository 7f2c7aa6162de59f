"""The checks behind `doctor` and `models check`, one line each: sample, engines, cameras, display."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from humandetect.config import DEFAULT_MODEL, EngineConfig, ServingConfig, SourceConfig
from humandetect.engines import ENGINES, has_model_server, load_engine
from humandetect.engines.base import DETECTION_API
from humandetect.errors import DeviceError, HumanDetectError, MissingExtra, ModelError, SourceError, UsageError
from humandetect.models.find import bundled, find_model
from humandetect.models.metadata import Channels, Scaling, takes, verify
from humandetect.plural import counted
from humandetect.plural import people as counted_people

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import supervision as sv

    from humandetect.config import Device
    from humandetect.media.frames import Frame
    from humandetect.models.metadata import ModelFolder

SAMPLE_FRAMES = 5
SERVER_SECONDS = 10.0
"""A server that is asked must answer within this time."""
CAMERAS_SECONDS = 15.0
"""All cameras must give a picture within this time."""
TRIALS_SECONDS = 45.0
"""Once they are over no further numbers for pixels are tried: a large model takes minutes for all."""
DEVICES = Path("/dev")
BLANK = "blank"
PACKAGES = ("numpy", "opencv-python", "av", "openvino", "tensorflow", "supervision")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried."""

    name: str
    well: bool
    detail: str
    fix: str = ""


def check_everything(*, device: Device = "auto", servers: tuple[str, ...] = ()) -> Iterator[Check]:
    """Try decode, every engine and encode on the sample, then cameras and display.

    `servers` are addresses for remote engines; what nobody set up is told, and no fault.
    """
    yield Check("system", True, f"Python {platform.python_version()}, {platform.platform()}, {os.cpu_count()} CPUs")
    yield Check("packages", True, ", ".join(f"{name} {_version(name)}" for name in PACKAGES))
    frames: list[Frame] = []
    yield _try("decode", lambda: _decode_sample(frames), "reinstall humandetect: the sample clip is damaged")
    frames = frames or [_blank_frame()]
    yield _try("encode", lambda: _encode(frames), "see the message; free space in the temporary folder?")
    yield from _check_model(EngineConfig(device=device), frames)
    for name in (name for name, entry in ENGINES.items() if entry.remote):
        yield _check_remote_engine(name, servers, frames)
    yield _try("cameras", lambda: _within(CAMERAS_SECONDS, _look_for_cameras), "close other programs that use it")
    yield _try("display", _look_for_display, "log in with a display, or write a video with -o instead of --show")


def check_model(config: EngineConfig) -> Iterator[Check]:
    """Verify a model and run it on the sample, which has people, with every engine that takes it."""
    frames: list[Frame] = []
    _decode_sample(frames)
    yield from _check_model(config, frames)


def _check_model(config: EngineConfig, frames: list[Frame]) -> Iterator[Check]:
    folder = find_model(config.model, config.models_dir)
    yield _try(f"model {folder.name}", lambda: _verify(folder), "")
    for name in (name for name, entry in ENGINES.items() if not entry.remote and takes(name, folder)):
        yield _check_engine(name, replace(config, engine=name), frames)  # type: ignore[arg-type]


def _check_engine(name: str, config: EngineConfig, frames: list[Frame]) -> Check:
    try:
        detail, fix = _infer(config, frames)
        return Check(f"engine {name}", True, detail, fix=fix)
    except MissingExtra as error:
        # An engine nobody installed is no fault of this installation.
        return Check(f"engine {name}", True, "not installed (optional)", fix=str(error))
    except UsageError:  # such as a size that the model does not take
        raise
    except HumanDetectError as error:
        fix = "use --device cpu or auto" if isinstance(error, DeviceError) else ""
        return Check(f"engine {name}", False, str(error), fix=fix)


def _check_remote_engine(name: str, servers: tuple[str, ...], frames: list[Frame]) -> Check:
    if not servers:
        own = "one of its own can start" if has_model_server() else "one of its own needs humandetect[tensorflow]"
        return Check(f"engine {name}", True, f"no server named by --serving; {own}")
    serving = ServingConfig(targets=servers, timeout_seconds=SERVER_SECONDS, patience_seconds=SERVER_SECONDS)
    return _check_engine(name, EngineConfig(engine=name, serving=serving), frames)  # type: ignore[arg-type]


def _look_for_cameras() -> str:
    from humandetect.media.sources import open_source

    if not sys.platform.startswith("linux"):
        return "not looked for on this system: try humandetect detect 0 --show"
    numbers = sorted(int(path.name.removeprefix("video")) for path in DEVICES.glob("video[0-9]*"))
    if not numbers:
        return f"none: there is no {DEVICES}/video*"
    found, failures = [], []
    part = SourceConfig(limit=1, open_timeout_seconds=2, read_timeout_seconds=2)
    for number in numbers:
        try:
            with open_source(str(number), part) as source:
                found.append(f"{number} ({source.info.width} x {source.info.height})")
        except SourceError as error:  # cameras show further devices, which give no pictures
            failures.append(error)
    if not found:
        raise failures[0]
    return f"number {', '.join(found)}"


def _look_for_display() -> str:
    from humandetect.media.sinks.window import WindowSink

    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "none: --show needs one (DISPLAY or WAYLAND_DISPLAY)"
    WindowSink("humandetect").close()
    return "windows open"


def _within(seconds: float, action: Callable[[], str]) -> str:
    """Return what `action` does, or raise SourceError when it takes longer; then its thread is left behind."""
    future: Future[str] = Future()

    def act() -> None:
        try:
            future.set_result(action())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=act, name="check", daemon=True).start()
    try:
        return future.result(seconds)
    except TimeoutError:
        raise SourceError(f"no answer within {seconds:g} s") from None


def _verify(folder: ModelFolder) -> str:
    verify(folder)
    known = [f"version {folder.version}"] if folder.version else []
    sizes = [f"{name} {preset}" for name, preset in folder.metadata.presets.items() if preset.input_hw]
    return ", ".join([*known, *([f"sizes {', '.join(sizes)}"] if sizes else []), str(folder.path)])


def _infer(config: EngineConfig, frames: list[Frame]) -> tuple[str, str]:
    """Say what a model found, and what is odd about where."""
    from humandetect.detection.breaches import breach_of, contract_told, elsewhere_told, nobody_told
    from humandetect.detection.detector import Detector

    start = time.perf_counter()
    with Detector(load_engine(config)) as detector:
        detector.infer([detector.prepare(frames[0].image)])  # compiles for the frames' shape: part of the start
        loaded = time.perf_counter()
        answers = detector.infer([detector.prepare(frame.image) for frame in frames])
        breaches = (breach_of(answer, detector.info, detector.score) for answer in answers)
        if breach := next(filter(None, breaches), None):  # before the detector logs it, too
            raise ModelError(breach)
        found = [detector.people(answer, frame.image.shape[:2]) for answer, frame in zip(answers, frames, strict=True)]
        people = sum(map(len, found))
        each_ms = (time.perf_counter() - loaded) / len(frames) * 1000
        if not people and frames[0].source != BLANK:
            raise ModelError(nobody_told(detector.info, answers, detector.score) + _other_pictures(config, frames))
        told = (
            f"{detector.info.engine}: {counted_people(people)} in {counted(len(frames), 'frame')}, "
            f"{each_ms:.0f} ms each, started in {loaded - start:.1f} s; {contract_told(detector.info, answers)}"
        )
        known = [] if config.model == DEFAULT_MODEL or not people else _people_in(frames)
        return told, elsewhere_told(detector.info, found, known) if known else ""


def _other_pictures(config: EngineConfig, frames: list[Frame]) -> str:
    """Say with which other numbers for its pixels a model of another framework finds people; empty if with none."""
    from humandetect.detection.breaches import breach_of, elsewhere_told
    from humandetect.detection.detector import Detector

    model = find_model(config.model, config.models_dir)
    if config.engine != "openvino" or {"scaling", "channels"} <= model.metadata.said:
        return ""
    from humandetect.engines.openvino import OpenVinoEngine

    best, told, known = 0.0, "", _people_in(frames)
    end = time.monotonic() + TRIALS_SECONDS
    for scaling, channels in product(get_args(Scaling), get_args(Channels)):
        if time.monotonic() >= end:
            break
        said = replace(model.metadata, scaling=scaling, channels=channels, person_class=config.person_class)
        engine = OpenVinoEngine(replace(model, metadata=said), device=config.device, size=config.size)
        with Detector(engine) as detector:
            if detector.info.dialect == DETECTION_API:
                return ""
            answers = detector.infer([detector.prepare(frame.image) for frame in frames])
            if any(breach_of(answer, detector.info, detector.score) for answer in answers):
                continue
            found = [detector.people(one, frame.image.shape[:2]) for one, frame in zip(answers, frames, strict=True)]
        total = sum(float(one.confidence.sum()) for one in found if one.confidence is not None)
        if total > best and not elsewhere_told(detector.info, found, known):
            best = total
            told = f': with {{"scaling": "{scaling}", "channels": "{channels}"}} it finds {sum(map(len, found))} here'
    return told


def _people_in(frames: list[Frame]) -> list[sv.Detections]:
    """Ask the default model who is in the sample."""
    from humandetect.detection.detector import open_detector

    with open_detector(bundled(f"models/{DEFAULT_MODEL}"), engine="openvino") as detector:
        return [detector.detect(frame.image) for frame in frames]


def _decode_sample(frames: list[Frame]) -> str:
    from humandetect.media.sources import open_source

    path = bundled("examples/plaza.mp4")
    with open_source(str(path), SourceConfig(limit=SAMPLE_FRAMES)) as source:
        frames.extend(source)
    return f"{counted(len(frames), 'frame')} of {source.info.width}x{source.info.height} from {path}"


def _blank_frame() -> Frame:
    """Stand in for the sample, so that the rest can be tried without it."""
    import numpy as np

    from humandetect.media.frames import Frame

    return Frame(np.zeros((480, 640, 3), np.uint8), index=0, time_seconds=0.0, source=BLANK)


def _encode(frames: list[Frame]) -> str:
    import supervision as sv

    from humandetect.media.frames import DetectedFrame, VideoInfo
    from humandetect.media.sinks.video import VideoSink

    height, width = frames[0].image.shape[:2]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "check.mp4"
        with VideoSink(path, VideoInfo(width=width, height=height)) as sink:
            for frame in frames:
                sink.write(DetectedFrame(frame, sv.Detections.empty()))
        return f"{counted(len(frames), 'frame')}, {path.stat().st_size:,} bytes of video"


def _try(name: str, action: Callable[[], str], fix: str) -> Check:
    try:
        return Check(name, True, action())
    except (HumanDetectError, OSError) as error:
        return Check(name, False, str(error), fix=fix)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
