"""What HDR and wide colours look like on a screen that has neither: PQ, HLG and SDR in BT.2020 to SDR in BT.709."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Hdr = Literal["PQ", "HLG", "BT.2020"]
"""What is to be mapped; BT.2020 is SDR in wide colours."""
_CURVES: dict[int, Hdr] = {16: "PQ", 18: "HLG"}
_BT2020 = 9
"""The numbers that ITU-T H.273 gives curves and primaries."""
CUBE_SIDE = 33
WHITE_NITS = 203.0
"""What HDR video shows a sheet of paper at (ITU-R BT.2408); screens show it as white."""
KNEE = 0.95
"""Of white: what is brighter shares what is left."""
SCREEN_GAMMA = 2.2
TO_BT709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
"""Of light in BT.2020 (ITU-R BT.2407)."""


def hdr_of_numbers(primaries: int, curve: int) -> Hdr | None:
    """Tell what is to be mapped by the numbers of its colours (ITU-T H.273)."""
    return _CURVES.get(curve) or ("BT.2020" if primaries == _BT2020 else None)


@cache
def cube(hdr: Hdr) -> NDArray[np.float64]:
    """Return (CUBE_SIDE ** 3, 3) codes in 0..1 for those of HDR, red running fastest."""
    axis = np.linspace(0.0, 1.0, CUBE_SIDE)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")
    codes = np.stack([red, green, blue], axis=-1).reshape(-1, 3)
    light = (_light(hdr, codes) @ TO_BT709.T).clip(min=0)
    brightest = light.max(axis=1, keepdims=True)
    rest = 1 - KNEE
    rolled = np.where(brightest <= KNEE, brightest, KNEE + rest * (1 - np.exp(-(brightest - KNEE) / rest)))
    shown = brightest.clip(max=1) if hdr == "BT.2020" else rolled
    share = np.divide(shown, brightest, out=np.zeros_like(shown), where=brightest > 0)
    return np.asarray((light * share) ** (1 / SCREEN_GAMMA))


def _light(hdr: Hdr, codes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return light of which 1 is white."""
    if hdr == "BT.2020":
        return np.asarray(codes**SCREEN_GAMMA)
    return np.asarray((_pq_nits if hdr == "PQ" else _hlg_nits)(codes) / WHITE_NITS)


def _pq_nits(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """SMPTE ST 2084."""
    root = code ** (1 / 78.84375)
    return 10_000 * (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)


def _hlg_nits(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """ARIB STD-B67, for a screen of 1,000 nits; its gamma channel by channel."""
    scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - 0.55991073) / 0.17883277) + 0.28466892) / 12)
    return 1000 * scene**1.2
