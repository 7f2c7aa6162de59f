"""What `detect` reads, does and writes; `feed` shares the most of it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from humandetect.config.counting import CountingConfig
from humandetect.config.engine import BatchField, EngineConfig
from humandetect.config.fields import Group, check
from humandetect.config.option import Opt, require

RtspTransport = Literal["auto", "tcp", "udp"]
Anonymize = Literal["blur", "pixelate", "fill"]
Preset = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium"]

SAMPLE = "sample"
MAX_SECONDS = 10_000_000
"""Four months: more than any source has, and few enough for every container's clock."""
MAX_MEGAPIXELS = 2000
"""What FFmpeg and the image libraries can count in 31 bits."""
MegapixelsField = Annotated[
    float,
    Opt("Refuse larger pictures from their header, before a byte of pixels is decoded.", "Limits"),
    Gt(0),
    Le(MAX_MEGAPIXELS),
]


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """Which part of a source is read."""

    start_seconds: Annotated[
        float, Opt("Begin here: seconds or H:MM:SS.", "Input", variable=None), Ge(0), Le(MAX_SECONDS)
    ] = 0.0
    duration_seconds: Annotated[
        float | None, Opt("Read this much.", "Input", variable=None), Gt(0), Le(MAX_SECONDS)
    ] = None
    limit: Annotated[int | None, Opt("Stop after N frames of each source.", "Input", metavar="N"), Ge(1)] = None
    max_megapixels: MegapixelsField = 50.0
    open_timeout_seconds: Annotated[float, Opt("Live sources must open by then.", "Limits"), Gt(0), Le(3600)] = 10.0
    read_timeout_seconds: Annotated[
        float, Opt("Live sources must send a frame within this time, or they have ended.", "Limits"), Gt(0), Le(3600)
    ] = 20.0

    recursive: Annotated[bool, Opt("Read the folders in a folder, too.", "Input")] = False
    rtsp_transport: Annotated[
        RtspTransport, Opt("How RTSP cameras send; auto: TCP, and UDP where the server refuses that.", "Input")
    ] = "auto"

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True)
class RunConfig:
    """What a run reads and where its results go: the part that `detect` and `feed` share."""

    sources: Annotated[
        tuple[str, ...],
        Opt(
            "Image, video, folder, glob, camera number, URL, - for stdin, or `sample` for the bundled clip.",
            "Input",
            metavar="SOURCE",
            argument=True,
        ),
    ] = field(repr=False)
    """Addresses among them may hold secrets."""
    output: Annotated[
        Path | None,
        Opt(
            "Annotated video or picture; a folder for several sources.",
            "Output",
            names=("--output", "-o"),
            unset="NAME_people.mp4 or .jpg, if nothing else is written",
            variable=None,
        ),
    ] = None
    results: Annotated[
        tuple[str, ...],
        Opt(
            "Results as .jsonl, .parquet, .csv, .coco.json, .coco-dataset.json or .mot.txt, by ending; - is JSON lines "
            "on stdout. Repeatable.",
            "Output",
            metavar="FILE",
            variable=None,
        ),
    ] = ()
    empty_rows: Annotated[
        bool,
        Opt(
            "Rows of empty cells in .csv for frames without people.",
            "Output",
            variable=None,
        ),
    ] = False
    crops: Annotated[Path | None, Opt("Save each person as a picture.", "Output", metavar="DIR", variable=None)] = None
    show: Annotated[bool, Opt("Show the annotated pictures in a window; q ends.", "Output")] = False
    every: Annotated[int, Opt("Detect each Nth frame, keep the boxes between.", "Detection", metavar="N"), Ge(1)] = 1
    track: Annotated[bool, Opt("Give people ids that last from frame to frame.", "Detection")] = False
    anonymize: Annotated[
        Anonymize | None,
        Opt("Hide people in all that is written and shown; fill is the safe style, none is a guarantee.", "Output"),
    ] = None
    no_metadata: Annotated[
        bool, Opt("Leave out when, where and by whom it was recorded, titles, texts, languages of sound.", "Output")
    ] = False
    preset: Annotated[Preset, Opt("x264's trade of speed against size.", "Output", metavar="PRESET")] = "veryfast"
    counting: Annotated[CountingConfig, Group()] = field(default_factory=CountingConfig)
    source: Annotated[SourceConfig, Group()] = field(default_factory=SourceConfig)

    def __post_init__(self) -> None:
        check(self)
        self.counting.require_places()
        every_frame = self.anonymize is None or self.every == 1
        require(every_frame, "--anonymize needs every frame detected: people walk out of kept boxes; leave --every out")

    @property
    def writes_pictures(self) -> bool:
        """Annotated pictures are written when asked for, or when nothing else would come out of the run."""
        return self.output is not None or not (self.results or self.crops or self.show or self.counting.writes)

    @property
    def tracks(self) -> bool:
        """Whether people get ids: when asked for, and where they are counted or reported."""
        return self.track or self.counting.wanted or self.counting.report is not None


@dataclass(frozen=True, slots=True)
class DetectConfig(RunConfig):
    """One run of `detect`."""

    no_labels: Annotated[bool, Opt("Draw boxes without scores.", "Output", variable=None)] = False
    no_count: Annotated[bool, Opt("Leave the number of people out of the picture.", "Output", variable=None)] = False
    line_width: Annotated[
        int | None,
        Opt("Of boxes, in pixels.", "Output", metavar="PIXELS", unset="to suit the picture", variable=None),
        Ge(1),
        Le(50),
    ] = None
    results_score: Annotated[
        float | None,
        Opt("Keep weaker boxes in .jsonl, .parquet, .csv from this score on, marked as weak.", "Output", variable=None),
        Ge(0.1),
        Le(1),
    ] = None
    """Not less than what tracks are made of: keeping more must not change them."""
    score: Annotated[
        float | None,
        Opt(
            "Report people from this score on; with --track it is what starts a track, which weaker boxes continue.",
            "Detection",
            unset="the model's",
        ),
        Ge(0),
        Le(1),
    ] = None
    batch: BatchField = None
    engine: Annotated[EngineConfig, Group()] = field(default_factory=EngineConfig)
