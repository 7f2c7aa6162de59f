"""The command `feed`."""

from __future__ import annotations

from dataclasses import replace

from humandetect.commands.options import options_of
from humandetect.commands.running import SIGNALS, command, finish_run, with_sample
from humandetect.config import FeedConfig, SummaryConfig

EXAMPLES = (
    "feed street.mp4 --url http://gpu-box:8000",
    "feed street.mp4 --async --results people.jsonl",
    "feed --spawn --limit 100",
)


@command
@options_of(FeedConfig)
def feed(config: FeedConfig, talk: SummaryConfig) -> None:
    """Send VIDEO to a server, frame by frame or in batches, and bring back the annotated video or results.

    Without -o and --results it writes NAME_people.mp4 into the current folder. A frame that the server fails at stays
    as it is, is counted, and makes the exit code 1; a server that goes away is waited for.
    """
    from humandetect.feed import run

    config = replace(config, sources=with_sample(config.sources))
    finish_run(lambda progress: run(config, progress=progress, stop=SIGNALS.stop), config, talk)
