"""What is read, how people are found, what is written and said."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from humandetect.config import Device, EngineName, Precision
from humandetect.options.base import DETECTION, READ, TALK, WRITE, option

EngineOpt = Annotated[EngineName, option(DETECTION, "--engine", help="What runs the model.", env="ENGINE")]
DeviceOpt = Annotated[Device, option(DETECTION, "--device", help="Where it runs.", env="DEVICE")]
PrecisionOpt = Annotated[
    Precision,
    option(
        DETECTION,
        "--precision",
        help="auto: the hardware's best; f32: the same scores on every machine.",
        env="PRECISION",
    ),
]
ModelOpt = Annotated[
    str,
    option(
        DETECTION, "--model", help="Name in the models folder, or path of a SavedModel or frozen graph.", env="MODEL"
    ),
]
ModelsDirOpt = Annotated[
    Path | None,
    option(
        DETECTION,
        "--models-dir",
        help="Where names are looked up. (default: ./models, else the packaged one)",
        env="MODELS_DIR",
    ),
]
ScoreOpt = Annotated[
    float | None,
    option(
        DETECTION,
        "--score",
        min=0.0,
        max=1.0,
        help="Report people from this score on. (default: the model's)",
        env="SCORE",
    ),
]
BatchOpt = Annotated[
    int | None,
    option(
        DETECTION, "--batch", min=1, max=1024, help="Images per engine call. (default: the engine's best)", env="BATCH"
    ),
]
EveryOpt = Annotated[
    int, option(DETECTION, "--every", min=1, help="Detect each Nth frame, keep the boxes between.", env="EVERY")
]
LimitOpt = Annotated[
    int | None, option(READ, "--limit", min=1, help="Stop after N frames of each source.", env="LIMIT")
]
OutputOpt = Annotated[
    Path | None,
    option(
        WRITE,
        "-o",
        "--output",
        help="Annotated video or picture; a folder for several sources. (default: NAME_people.mp4)",
    ),
]
ResultsOpt = Annotated[
    list[str] | None,
    option(
        WRITE,
        "--results",
        metavar="FILE",
        help="Results as .jsonl, .csv, .coco.json or .mot.txt, by ending; - is JSON lines on stdout. Repeatable.",
    ),
]
ShowOpt = Annotated[bool, option(WRITE, "--show", help="Show the annotated pictures in a window; q ends.", env="SHOW")]
QuietOpt = Annotated[bool, option(TALK, "-q", "--quiet", help="Print errors only.", env="QUIET")]
VerboseOpt = Annotated[bool, option(TALK, "-v", "--verbose", help="Say what happens while it happens.", env="VERBOSE")]
DebugOpt = Annotated[bool, option(TALK, "--debug", help="Log everything; show tracebacks.", env="DEBUG")]
JsonOpt = Annotated[bool, option(TALK, "--json", help="Print the summary as JSON on stdout.")]
