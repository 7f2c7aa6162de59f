"""From the samples of a window to figures: rates, latencies, errors by kind, and whether windows agree."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from humandetect.bench.pictures import ReferencePeople
    from humandetect.bench.samples import WindowSamples

AGREEING = 3
"""So many windows in a row must agree."""
AGREEMENT = 0.1
"""Largest difference between them, as a share of their middle."""
WRONG = "wrong people"


@dataclass(frozen=True, slots=True)
class Window:
    """The figures of one window."""

    seconds: float
    requests: int
    """Answered, be it wrongly."""
    good_images: int
    """Answered with the people that are there."""
    latencies: tuple[float, ...]
    """Seconds, of every request that was answered."""
    errors: Counter[str]
    """Requests by what went wrong; images where the people were wrong."""
    all_images: int
    """Good answers of all that was sent for the window, also before and after it: what the server worked for."""

    @property
    def images_per_second(self) -> float:
        return self.good_images / self.seconds if self.seconds else 0.0


def judge(samples: WindowSamples, reference: ReferencePeople) -> Window:
    """Hold what the answers report against the reference, and count."""
    right = [reference.agrees(image, people) for image, people in samples.reported]
    answered = [sample for sample in samples.counted if not sample.error]
    errors = Counter(sample.error for sample in samples.counted if sample.error)
    wrong = sum(not right[number] for sample in answered for number in sample.reported)
    if wrong:
        errors[WRONG] = wrong
    return Window(
        seconds=samples.seconds,
        requests=len(answered),
        good_images=sum(right[number] for sample in answered for number in sample.reported),
        latencies=tuple(sample.ended - sample.due for sample in answered),
        errors=errors,
        all_images=sum(right[number] for sample in samples.sent for number in sample.reported),
    )


def spread(windows: Sequence[Window]) -> float | None:
    """Return how far the rates of the last windows lie apart, as a share of their middle; None: too few windows."""
    rates = sorted(window.images_per_second for window in windows[-AGREEING:])
    if len(rates) < AGREEING:
        return None
    middle = rates[len(rates) // 2]
    return (rates[-1] - rates[0]) / middle if middle else math.inf


def agree(windows: Sequence[Window]) -> bool:
    """Tell whether the last three windows lie within 10 % of their middle."""
    apart = spread(windows)
    return apart is not None and apart <= AGREEMENT
