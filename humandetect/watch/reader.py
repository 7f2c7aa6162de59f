"""The thread of one camera: it connects, keeps the newest picture, and comes back whatever happens."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from humandetect.memory import give_back
from humandetect.watch.connection import Connection, Lost
from humandetect.watch.states import CameraStates

if TYPE_CHECKING:
    from collections.abc import Callable

    from humandetect.watch.base import PacketSink, State
    from humandetect.watch.connection import CameraPicture, LossKind, ReaderSettings
    from humandetect.watch.openings import Openings
    from humandetect.watch.states import Change

CROWD_OPEN_SECONDS = 3.0
"""For the first try where there are more cameras than turns: dead ones must not hold up the start of the rest."""

logger = logging.getLogger(__name__)


class StateChange(NamedTuple):
    """A camera has come into a state."""

    camera: str
    state: State
    reason: str | None
    at: datetime


class CameraReader:
    """Reads one camera until it is told to stop; what it says of itself can be asked from any thread."""

    def __init__(
        self, name: str, url: str, *, settings: ReaderSettings, openings: Openings,
        on_change: Callable[[StateChange], None], on_picture: Callable[[float], None] | None = None,
        packets: PacketSink | None = None, states: CameraStates | None = None, first_after_seconds: float = 0.0,
        is_crowded: bool = False,
    ) -> None:  # fmt: skip
        """`openings` are shared by all cameras, and `is_crowded` is whether these are more than can open at once.

        `on_picture` is told when what `take` has now arrived. Both callbacks come on the camera's thread, and must
        return at once.
        """
        self.frames = 0
        """Pictures that arrived."""
        self._skipped: Counter[str] = Counter()
        """In the connections before."""
        self.reconnects: Counter[str] = Counter()
        """By the kind of the loss before."""
        self.size: tuple[int, int] | None = None
        self.last_picture: datetime | None = None
        self.now = StateChange(name, "connecting", None, datetime.now().astimezone())
        self._url, self._settings = url, settings
        self._openings = openings
        self._on_change, self._on_picture = on_change, on_picture
        self._packets = packets
        self._states = states or CameraStates(settings.max_delay_seconds)
        self._first_after_seconds, self._is_crowded = first_after_seconds, is_crowded
        self._connection: Connection | None = None
        self._is_dead = False
        """Whether it did not answer the last time, or had all the time that there is."""
        self._newest: CameraPicture | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"camera {name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def take(self) -> CameraPicture | None:
        """Return the newest picture that nobody took yet."""
        picture, self._newest = self._newest, None
        return picture

    @property
    def dropped(self) -> Counter[str]:
        """Pictures that should have been decoded and were not, by reason."""
        connection = self._connection
        return self._skipped + connection.skipped if connection else Counter(self._skipped)

    @property
    def delay_seconds(self) -> float | None:
        """How late pictures come, at the 95th percentile of the last seconds."""
        connection = self._connection
        return connection.delay.p95_seconds if connection else None

    def stop(self) -> None:
        """Ask the thread to end."""
        self._stop.set()

    def join(self, timeout_seconds: float) -> None:
        """Wait for the thread; one that libav holds ends when libav lets go, and with the process."""
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        self._stop.wait(self._first_after_seconds)
        while not self._stop.is_set():
            self._tell(self._states.connect())
            kind, why = self._read()
            self._newest = None
            give_back()  # what its decoder had; over many losses that would grow
            if self._stop.is_set():
                break
            self.reconnects[kind] += 1
            lose = self._states.refuse if kind == "refused" else self._states.lose
            self._tell(lose(why, time.monotonic()))
            self._stop.wait(max(0.0, self._states.retry_at - time.monotonic()))
        self._tell(self._states.stop())

    def _read(self) -> tuple[LossKind, str]:
        """Read one connection to its end, and return why it ended.

        In words only: the traceback of an exception that is kept would keep the decoder, until the next loss.
        """
        try:
            with self._connect() as connection:
                self._connection = connection
                for picture in connection.pictures():
                    if self._stop.is_set():
                        break
                    if picture:
                        self._offer(picture, connection)
        except Lost as lost:
            return lost.kind, str(lost)
        except Exception as error:  # a fault of ours must not cost a camera its weeks
            logger.exception("camera %s", self.now.camera)
            return "unreadable", f"{type(error).__name__}: {error}"
        finally:
            if self._connection:
                self._skipped += self._connection.skipped
            self._connection = None
        return "closed", "told to stop"

    def _connect(self) -> Connection:
        with self._openings.turn(is_dead=self._is_dead, is_stopped=self._stop.is_set) as has_turn:
            if not has_turn:
                raise Lost("closed", "told to stop")
            longest = open_seconds = self._settings.open_seconds
            if self._is_crowded and not self.reconnects:
                open_seconds = min(longest, CROWD_OPEN_SECONDS)
            try:
                connection = Connection(self._url, self._settings, self._packets, open_seconds=open_seconds)
            except Lost as lost:
                self._is_dead = lost.kind != "silent" or open_seconds == longest
                raise
            self._is_dead = False
            return connection

    def _offer(self, picture: CameraPicture, connection: Connection) -> None:
        self.frames += 1
        self.last_picture, self.size = picture.arrived_at, picture.size
        self._tell(self._states.picture(picture.arrived_seconds, connection.delay.p95_seconds))
        connection.shedding = self._states.state == "late"
        self._newest = picture
        if self._on_picture:
            self._on_picture(picture.arrived_seconds)

    def _tell(self, changes: list[Change]) -> None:
        for state, why in changes:
            self.now = StateChange(self.now.camera, state, why, datetime.now().astimezone())
            self._on_change(self.now)
