"""What `watch` looks at, how often, and where it says what it saw."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from humandetect.config.counting import CountingConfig
from humandetect.config.delivery import DeliveryConfig
from humandetect.config.detect import Anonymize, MegapixelsField, RtspTransport
from humandetect.config.engine import BatchField, EngineConfig, ScoreField
from humandetect.config.fields import Group, check
from humandetect.config.option import Opt, require
from humandetect.config.recording import RecordConfig, RecordMode
from humandetect.config.web import WebConfig

Decode = Literal["all", "key", "auto"]
Gate = Literal["off", "motion"]

_NOT_LIVE = ("events", "counts", "per_seconds", "event_crops", "started", "heatmap", "report")
"""Of counting, what is made of a source when it has ended; counts are kept by the minute."""


@dataclass(frozen=True, slots=True)
class WatchConfig:
    """One run of `watch`; what a file of cameras says of one of them goes before."""

    cameras: Annotated[
        tuple[str, ...],
        Opt("A file of cameras (.toml), or NAME=URL of each.", "Input", metavar="CAMERA", argument=True),
    ] = field(repr=False)
    """Addresses among them may hold secrets."""
    rate: Annotated[float, Opt("Look at each camera so often a second.", "Detection"), Ge(1), Le(30)] = 2.0
    """At fewer than one a second nobody can be followed, and every two looks would be a gap."""
    decode: Annotated[
        Decode,
        Opt("What to decode: all, key frames, or auto: key frames where they come as often as --rate.", "Input"),
    ] = "auto"
    gate: Annotated[
        Gate, Opt("motion: look only where something moves, where somebody is, and every 10 s.", "Detection")
    ] = "off"
    anonymize: Annotated[
        Anonymize | None,
        Opt("Hide people in all that is shown and kept; fill is the safe style, none is a guarantee.", "Output"),
    ] = None
    rtsp_transport: Annotated[
        RtspTransport, Opt("How RTSP cameras send; auto: TCP, and UDP where the server refuses that.", "Input")
    ] = "auto"
    max_delay_seconds: Annotated[
        float, Opt("A camera further behind is late, and drops pictures to catch up.", "Limits"), Gt(0), Le(3600)
    ] = 1.0
    watchdog_seconds: Annotated[
        float, Opt("A camera without a picture for so long is connected to anew.", "Limits"), Ge(1), Le(3600)
    ] = 20.0
    max_megapixels: MegapixelsField = 50.0
    events: Annotated[
        str | None,
        Opt(
            "Add what happens to this file of JSON lines, each when it is certain; - is stdout.", "Output",
            metavar="FILE", variable=None,
        ),
    ] = None  # fmt: skip
    data: Annotated[
        Path, Opt("Folder that keeps events, counts and totals when this ends.", "Output", metavar="DIR")
    ] = Path("humandetect-data")
    table: Annotated[bool, Opt("Show all cameras as a live table.", "Messages")] = False
    check_cameras: Annotated[
        bool,
        Opt(
            "Open each camera once, say what it sends and whether this machine carries them all, and end.", "Checks",
            names=("--check",), variable=None,
        ),
    ] = False  # fmt: skip
    delivery: Annotated[DeliveryConfig, Group()] = field(default_factory=DeliveryConfig)
    web: Annotated[WebConfig, Group()] = field(default_factory=WebConfig)
    recording: Annotated[RecordConfig, Group()] = field(default_factory=RecordConfig)
    counting: Annotated[CountingConfig, Group(without=_NOT_LIVE)] = field(default_factory=CountingConfig)
    score: ScoreField = None
    batch: BatchField = None
    engine: Annotated[EngineConfig, Group()] = field(default_factory=EngineConfig)

    def __post_init__(self) -> None:
        check(self)
        require(bool(self.cameras), "no camera: give a file of cameras (.toml), or NAME=URL of each")
        is_file = self.events is None or self.events == "-" or self.events.lower().endswith(".jsonl")
        require(is_file, f"events of cameras are written as .jsonl or - (stdout), got {self.events!r}")
        require(
            self.recording.record is not None or self.recording == RecordConfig(),
            "nothing is recorded: give --record DIR, or leave out --record-mode, --segment, --keep, --max-size and "
            "--min-free",
        )


@dataclass(frozen=True, slots=True)
class CameraConfig:
    """One camera, as it is watched."""

    name: str
    url: str = field(repr=False)
    """With its secrets."""
    rate: float
    decode: Decode
    gate: Gate
    transport: RtspTransport
    anonymize: Anonymize | None = None
    scene: Path | None = None
    record: RecordMode | None = None
    """None: not at all."""
    size: str | None = None
    """How large the model sees it; None: as all."""

    def __post_init__(self) -> None:
        require(
            not (self.record and self.anonymize),
            f"camera {self.name!r} is recorded as it comes, with people: leave out its anonymize or its record",
        )
