"""The command `detect`."""

from __future__ import annotations

from dataclasses import replace

from humandetect.commands.options import options_of
from humandetect.commands.running import SIGNALS, command, finish_run, with_sample
from humandetect.config import DetectConfig, SummaryConfig

EXAMPLES = (
    "detect street.mp4 -o people.mp4",
    "detect photos/ --results people.csv --crops people/",
    "detect lobby.mp4 --scene door.toml --counts counts.csv --report report.html",
    "detect 0 --show",
    "detect rtsp://camera/stream --results - --every 5",
    "detect sample --engine tf-serving --serving gpu-box:8500",
)


@command
@options_of(DetectConfig)
def detect(config: DetectConfig, talk: SummaryConfig) -> None:
    """Find people in SOURCE and write an annotated video, pictures or results.

    Without -o and --results it writes NAME_people.mp4 (or .jpg) into the current folder.
    """
    from humandetect.pipeline.run import run

    config = replace(config, sources=with_sample(config.sources))
    finish_run(lambda progress: run(config, progress=progress, stop=SIGNALS.stop), config, talk)
