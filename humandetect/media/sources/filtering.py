"""What is done to pictures between decoder and pixels: interlaced ones become whole, HDR becomes what screens show."""

from __future__ import annotations

import logging
import tempfile
from collections import deque
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from av.error import BlockingIOError as NothingYet
from av.error import EOFError as NothingLeft
from av.filter import Graph
from av.video.reformatter import ColorTrc

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import av
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

HDR = {ColorTrc.SMPTE2084: "PQ", ColorTrc.ARIB_STD_B67: "HLG"}
CUBE_SIDE = 33
WHITE_NITS = 203.0
"""What HDR video shows a sheet of paper at (ITU-R BT.2408); screens show it as white."""
KNEE = 0.95
"""Of white: what is brighter shares what is left."""
SCREEN_GAMMA = 2.2
TO_BT709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
"""Of light in BT.2020 (ITU-R BT.2407)."""
_TICK = Fraction(1, 90_000)
"""Of the graph's own clock, which nobody reads."""


class PictureFilter:
    """Passes pictures on, those that need it filtered; times and order stay.

    It begins with the first picture that needs it: others cost nothing.
    """

    def __init__(self, name: str) -> None:
        """`name` is for the log."""
        self._name = name
        self._graph: Graph | None = None
        self._kind: tuple[object, ...] = ()
        self.interlaced = False
        """Whether one that came so far was; those that leave do not say so."""
        self._waiting: deque[av.VideoFrame] = deque()
        """Those in the graph: what comes out has their times."""

    def apply(self, pictures: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        for picture in pictures:
            self.interlaced = self.interlaced or picture.interlaced_frame
            hdr = HDR.get(ColorTrc(picture.color_trc)) if picture.color_trc in HDR else None
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

    def _begin(self, picture: av.VideoFrame, kind: tuple[object, ...], *, interlaced: bool, hdr: str | None) -> None:
        self._kind = kind
        if not (interlaced or hdr):
            return
        done = ["interlaced pictures are made whole"] * interlaced + [f"{hdr} is mapped to SDR"] * bool(hdr)
        logger.info("%r: %s", self._name, " and ".join(done))
        graph = Graph()
        nodes = [graph.add_buffer(width=picture.width, height=picture.height, format=picture.format, time_base=_TICK)]
        with tempfile.TemporaryDirectory() as folder:  # the filter reads its table while it is made
            if interlaced:
                nodes.append(graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced"))
            if hdr:
                file = Path(folder) / "hdr.cube"
                file.write_text(cube(hdr), encoding="ascii")
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


def cube(hdr: str) -> str:
    """Return the way from HDR's code values in BT.2020 to those of SDR in BT.709, as a .cube file has it."""
    axis = np.linspace(0.0, 1.0, CUBE_SIDE)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")  # red runs fastest in the file
    nits = (_pq_nits if hdr == "PQ" else _hlg_nits)(np.stack([red, green, blue], axis=-1).reshape(-1, 3))
    light = (nits / WHITE_NITS @ TO_BT709.T).clip(min=0)
    brightest = light.max(axis=1, keepdims=True)
    rest = 1 - KNEE
    shown = np.where(brightest <= KNEE, brightest, KNEE + rest * (1 - np.exp(-(brightest - KNEE) / rest)))
    codes = (light * np.divide(shown, brightest, out=np.zeros_like(shown), where=brightest > 0)) ** (1 / SCREEN_GAMMA)
    return "\n".join([f"LUT_3D_SIZE {CUBE_SIDE}", *(" ".join(f"{code:.6f}" for code in row) for row in codes)]) + "\n"


def _pq_nits(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """SMPTE ST 2084."""
    root = code ** (1 / 78.84375)
    return 10_000 * (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)


def _hlg_nits(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """ARIB STD-B67, for a screen of 1,000 nits; its gamma channel by channel."""
    scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - 0.55991073) / 0.17883277) + 0.28466892) / 12)
    return 1000 * scene**1.2
