"""What is done to pictures between decoder and pixels: interlaced ones become whole, HDR becomes what screens show."""

from __future__ import annotations

import logging
import tempfile
from collections import deque
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from av.error import BlockingIOError as NothingYet
from av.error import EOFError as NothingLeft
from av.filter import Graph

from humandetect.media.hdr import CUBE_SIDE, cube, hdr_of_numbers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import av

    from humandetect.media.hdr import Hdr

logger = logging.getLogger(__name__)

Parity = Literal["tff", "bff"]
_PARITIES: dict[int, Parity] = {2: "tff", 3: "bff", 4: "bff", 5: "tff"}
"""The field that is shown first, by libav's AVFieldOrder."""
_SILENT_CODECS = {"mjpeg", "jpeg2000", "ffv1", "huffyuv", "ffvhuff", "magicyuv", "png", "qtrle"}
"""Those whose pictures do not say that they are interlaced; of others they do, and containers may be wrong."""
_TICK = Fraction(1, 90_000)
"""Of the graph's own clock, which nobody reads."""


def told_parity(codec: av.VideoCodecContext) -> Parity | None:
    """Return which field is shown first where only the container can say that pictures are interlaced, and does."""
    return _PARITIES.get(codec.field_order) if codec.name in _SILENT_CODECS else None


class PictureFilter:
    """Passes pictures on, those that need it filtered; times and order stay.

    It begins with the first picture that needs it: others cost nothing.
    """

    def __init__(self, name: str, *, parity: Parity | None = None) -> None:
        """`name` is for the log; with `parity` all pictures are interlaced, though they do not say so themselves."""
        self._name = name
        self._parity = parity
        self._graph: Graph | None = None
        self._kind: tuple[object, ...] = ()
        self.interlaced = parity is not None
        """Whether one that came so far was; those that leave do not say so."""
        self._waiting: deque[av.VideoFrame] = deque()
        """Those in the graph: what comes out has their times."""

    def apply(self, pictures: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        for picture in pictures:
            self.interlaced = self.interlaced or picture.interlaced_frame
            hdr = hdr_of_numbers(picture.color_primaries, picture.color_trc)
            kind = (picture.width, picture.height, picture.format.name, self.interlaced, hdr)
            if kind != self._kind:
                yield from self._finish()
                self._begin(picture, kind, interlaced=self.interlaced, hdr=hdr)
            if self._graph is None:
                yield picture
                continue
            self._waiting.append(picture)
            self._graph.push(picture)
            yield from self._ready()
        yield from self._finish()

    def _begin(self, picture: av.VideoFrame, kind: tuple[object, ...], *, interlaced: bool, hdr: Hdr | None) -> None:
        self._kind = kind
        if not (interlaced or hdr):
            return
        done = ["interlaced pictures are made whole"] * interlaced + [f"{hdr} is mapped to SDR in BT.709"] * bool(hdr)
        logger.info("%r: %s", self._name, " and ".join(done))
        graph = Graph()
        nodes = [graph.add_buffer(width=picture.width, height=picture.height, format=picture.format, time_base=_TICK)]
        with tempfile.TemporaryDirectory() as folder:  # the filter reads its table while it is made
            if interlaced:
                told = f"parity={self._parity}:deint=all" if self._parity else "parity=auto:deint=interlaced"
                nodes.append(graph.add("bwdif", f"mode=send_frame:{told}"))
            if hdr:
                file = Path(folder) / "hdr.cube"
                file.write_text(_cube_file(hdr), encoding="ascii")
                steps = (("format", "gbrp16le"), ("lut3d", f"file={file}"), ("format", "rgb24"))
                nodes += [graph.add(*step) for step in steps]
            graph.link_nodes(*nodes, graph.add("buffersink")).configure()
        self._graph = graph

    def _ready(self) -> Iterator[av.VideoFrame]:
        """Yield what the graph has done, with the times that it came with."""
        while self._graph is not None:
            try:
                done = self._graph.vpull()
            except (NothingYet, NothingLeft):
                return
            before = self._waiting.popleft()
            done.pts, done.dts, done.duration = before.pts, before.dts, before.duration
            yield done

    def _finish(self) -> Iterator[av.VideoFrame]:
        """Yield what is still in the graph, and let go of it."""
        if self._graph is not None:
            self._graph.vpush(None)
            yield from self._ready()
        self._graph = None
        self._waiting.clear()


def _cube_file(hdr: Hdr) -> str:
    return (
        "\n".join([f"LUT_3D_SIZE {CUBE_SIDE}", *(" ".join(f"{code:.6f}" for code in row) for row in cube(hdr))]) + "\n"
    )
