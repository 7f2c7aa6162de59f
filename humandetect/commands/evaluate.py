"""The command `eval`."""

from __future__ import annotations

from humandetect.commands.options import options_of
from humandetect.commands.running import command
from humandetect.config import EvalConfig, TalkConfig

EXAMPLES = (
    "eval people.jsonl --truth gt.txt",
    "eval tracks.jsonl --truth gt.txt --scene door.toml",
    "eval people.coco.json --truth instances.json --json",
)


@command
@options_of(EvalConfig)
def evaluate(config: EvalConfig, _talk: TalkConfig) -> None:
    """Hold RESULTS against what is true: AP of boxes, MOTA, IDF1 and HOTA of tracks, and how right events are."""
    from humandetect.analytics.evaluate import evaluate
    from humandetect.commands.evaluation_tables import print_evaluation, print_evaluation_as_json

    (print_evaluation_as_json if config.json else print_evaluation)(evaluate(config))
