"""People that are known, from MOTChallenge files, and how well those that were found agree with them.

Rows are frame (from 1), id, x, y, width, height, flag (0: neither hit nor miss). Matching is greedy, best score first,
and AP is interpolated at 101 recalls, both as COCO's evaluation does it.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Boxes = NDArray[np.float64]
"""Known: (N, 5) of x1, y1, x2, y2 and 1 where it is to be ignored. Found: of x1, y1, x2, y2 and score."""
NONE = np.zeros((0, 5))
IOU = 0.5
RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True, slots=True)
class Agreement:
    """All that was found in the frames of a clip, best first."""

    scores: NDArray[np.float64]
    hits: NDArray[np.bool_]
    people: int
    """How many there are."""

    @property
    def ap50(self) -> float:
        """Average precision at IoU 0.5, 0..100."""
        true = np.cumsum(self.hits)
        recall, precision = true / max(self.people, 1), true / np.arange(1, len(true) + 1)
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        at = np.searchsorted(recall, RECALLS)
        return 100 * float(np.append(precision, 0)[at].mean())

    def at(self, score: float) -> tuple[float, float, float]:
        """Return precision, recall and F1 of what has at least this score."""
        hits = self.hits[self.scores >= score]
        precision, recall = hits.mean() if len(hits) else 0.0, hits.sum() / max(self.people, 1)
        return float(precision), float(recall), statistics.harmonic_mean([float(precision), float(recall)])


def read_ground_truth(path: Path) -> Mapping[int, Boxes]:
    """Return the known boxes by frame, from 0 to the last one that is described."""
    frames: dict[int, list[list[float]]] = defaultdict(list)
    for frame, _, x, y, width, height, flag, *_ in np.loadtxt(path, delimiter=","):
        frames[int(frame) - 1].append([x, y, x + width, y + height, flag == 0])
    return {index: np.array(frames[index]) if index in frames else NONE for index in range(max(frames) + 1)}


def compare(known: Mapping[int, Boxes], found: Mapping[int, Boxes]) -> Agreement:
    """Match the boxes of each frame; ignored ones take what they match out of the count."""
    rows = np.concatenate([NONE[:, :2], *(_matched(known[index], boxes) for index, boxes in found.items())])
    rows = rows[np.argsort(-rows[:, 0], kind="stable")]
    people = sum(int((known[index][:, 4] == 0).sum()) for index in found)
    return Agreement(rows[:, 0], rows[:, 1] > 0, people)


def _matched(known: Boxes, found: Boxes) -> NDArray[np.float64]:
    """Return (score, hit) of what counts in one frame."""
    found = found[np.argsort(-found[:, 4], kind="stable")]
    ignored = known[:, 4] > 0
    overlap = _overlaps(found, known)
    rows = []
    for index, box in enumerate(found):
        real = np.where(ignored, 0, overlap[index])
        best = int(real.argmax()) if len(real) else -1
        hit = best >= 0 and real[best] >= IOU
        if hit:
            overlap[:, best] = 0
        if hit or not (overlap[index][ignored] >= IOU).any():
            rows.append((box[4], hit))
    return np.array(rows, float).reshape(-1, 2)


def _overlaps(found: Boxes, known: Boxes) -> NDArray[np.float64]:
    """Return (N, M) IoU; with boxes to be ignored the share of the found box that lies in them."""
    low = np.maximum(found[:, None, :2], known[None, :, :2])
    high = np.minimum(found[:, None, 2:4], known[None, :, 2:4])
    shared = (high - low).clip(0).prod(axis=-1)
    area = (found[:, 2:4] - found[:, :2]).prod(axis=-1)[:, None]
    other = (known[:, 2:4] - known[:, :2]).prod(axis=-1)[None]
    whole = np.where(known[None, :, 4] > 0, area, area + other - shared)
    return np.asarray(shared / np.maximum(whole, 1e-9), float)
