"""The command `watch`."""

from __future__ import annotations

import logging
import signal
import threading
from contextlib import ExitStack, closing, suppress
from functools import partial
from typing import TYPE_CHECKING

import typer

from humandetect.commands.options import options_of
from humandetect.commands.running import command, print_error
from humandetect.config import QuietConfig, WatchConfig
from humandetect.cpus import usable_cpus
from humandetect.errors import ServerError, UsageError
from humandetect.memory import bound_allocations, bound_arenas
from humandetect.plural import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from humandetect.watch.run import Watch
    from humandetect.watch.store import Store
    from humandetect.watch.web.server import Page

EXAMPLES = (
    "watch door=rtsp://camera/stream yard=rtsp://other/stream --table",
    "watch cameras.toml --scene door.toml --events events.jsonl",
    "watch cameras.toml --check",
)
REFRESH_SECONDS = 0.5


@command
@options_of(WatchConfig)
def watch(config: WatchConfig, talk: QuietConfig) -> None:
    """Watch many live cameras: one engine for all, each read by itself and connected to anew when it is lost.

    SIGHUP reads the file of cameras and the page's certificate again. Ctrl-C or SIGTERM is the normal end.
    """
    bound_allocations(config.max_megapixels)
    bound_arenas(max(2, usable_cpus()))
    if config.check_cameras:
        raise typer.Exit(_check(config))
    reload = threading.Event()
    signal.signal(signal.SIGHUP, lambda *_: reload.set())  # before the engine is loaded, which takes seconds
    if not (talk.quiet or talk.verbose or talk.debug):  # what happens to cameras is what it is for
        logging.getLogger("humandetect").setLevel(logging.WARNING)
    with suppress(KeyboardInterrupt):  # also while it begins
        _watch(config, reload, quiet=talk.quiet)
    raise typer.Exit


def _watch(config: WatchConfig, reload: threading.Event, *, quiet: bool) -> None:
    """Watch until it cannot go on. Raises KeyboardInterrupt where somebody ends it."""
    from humandetect.watch.events_file import EventsFile
    from humandetect.watch.notify import delivering
    from humandetect.watch.run import Watch
    from humandetect.watch.store import Store

    with ExitStack() as stack:
        store = stack.enter_context(closing(Store(config.data, config.delivery)))
        audiences = stack.enter_context(delivering(config.delivery, store))
        audiences += [stack.enter_context(closing(EventsFile(config.events)))] if config.events else []
        watching = stack.enter_context(Watch(config, memory=store, audiences=audiences))
        page = _page(config, watching, store, stack)
        stack.callback(watching.stop)  # while the page says farewell
        at = f" at {page.url}" if page else ""
        if not quiet:
            typer.echo(f"watching {counted(len(watching.statuses()), 'camera')}{at}; Ctrl-C ends it", err=True)
        _wait(watching, page, reload, table=config.table and not quiet)


def _page(config: WatchConfig, watching: Watch, store: Store, stack: ExitStack) -> Page | None:
    """Show the cameras, if wanted, until the stack ends."""
    if config.web.listen is None:
        return None
    from humandetect.watch.metrics import WatchCollector
    from humandetect.watch.notify import delivery_figures
    from humandetect.watch.web.server import page_served

    collector = WatchCollector(
        watching, recordings=watching.recording_figures, deliveries=partial(delivery_figures, config.delivery, store)
    )
    return stack.enter_context(page_served(config.web, watching, store, collector=collector))


def _wait(watching: Watch, page: Page | None, reload: threading.Event, *, table: bool) -> None:
    """Wait until it cannot go on; whoever ends it before raises KeyboardInterrupt here."""
    from rich.console import Console
    from rich.live import Live

    from humandetect.watch.table import status_table

    console = Console(stderr=True)
    with (
        Live(console=console, auto_refresh=False, transient=True)
        if table and console.is_terminal
        else ExitStack() as live
    ):
        while not watching.ended.wait(REFRESH_SECONDS):
            if reload.is_set():
                reload.clear()
                _reload(watching.reload)
                if page:
                    _reload(page.renew)
            if isinstance(live, Live):
                live.update(status_table(watching.statuses()), refresh=True)
    if watching.failure:
        raise watching.failure


def _reload(read: Callable[[], str | None]) -> None:
    """Read cameras or a certificate again, and say what changed; as it was before it goes on where that fails."""
    try:
        if changed := read():
            typer.echo(f"cameras read again: {changed}", err=True)
    except (UsageError, ServerError) as error:
        print_error(error)


def _check(config: WatchConfig) -> int:
    """Say of each camera what it sends; return the exit code."""
    from rich.console import Console

    from humandetect.detection.detector import Detector
    from humandetect.engines import load_engine
    from humandetect.watch import check
    from humandetect.watch.cameras_file import read_cameras
    from humandetect.watch.connection import ReaderSettings
    from humandetect.watch.table import check_table

    cameras = read_cameras(config)
    settings = ReaderSettings(decode="all", max_megapixels=config.max_megapixels)
    checked = list(check.check_cameras(cameras, settings))
    with Detector(load_engine(config.engine), score=config.score) as detector:
        checked = check.measure_detection(detector, checked)
    Console(highlight=False, soft_wrap=True).print(check_table(checked))
    seen = [one for one in checked if not one.problem]
    needed, there = sum(one.cores for one in seen), check.usable_cores()
    carries = needed <= there
    if seen:
        who = "all of them" if len(seen) == len(checked) else "those that were seen"
        typer.echo(
            f"{who} need {needed:.2f} of the {there:.2f} cores that can be used: "
            f"this machine {'carries' if carries else 'does not carry'} them"
        )
    return int(not carries or any(one.problem for one in checked))
