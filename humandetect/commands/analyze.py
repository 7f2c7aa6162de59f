"""The command `analyze`."""

from __future__ import annotations

from humandetect.commands.options import options_of
from humandetect.commands.running import SIGNALS, command, finish_run
from humandetect.config import AnalyzeConfig, SummaryConfig

EXAMPLES = (
    "analyze people.jsonl --scene door.toml --events events.jsonl --counts counts.csv",
    "analyze humandetect-data/watch.sqlite --report weeks.html --per 1:00:00",
    "analyze monday.jsonl tuesday.jsonl --scene door.toml --report week.html",
)


@command
@options_of(AnalyzeConfig)
def analyze(config: AnalyzeConfig, talk: SummaryConfig) -> None:
    """Track, count and report from saved RESULTS, without decoding or detecting again.

    Events and counts are those that `detect` would have written with the same options. Keep what it needs with
    `detect --results people.jsonl --results-score 0.1`.
    """
    if config.reads_store:
        from humandetect.watch.stored import analyze_store

        finish_run(lambda _: analyze_store(config), config, talk)
        return
    from humandetect.pipeline.analyze import analyze

    finish_run(lambda progress: analyze(config, progress=progress, stop=SIGNALS.stop), config, talk)
