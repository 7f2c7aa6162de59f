"""What a person sees while a benchmark runs."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm

STARTING = "{desc} ... {elapsed}"
MEASURING = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} windows [{elapsed}<{remaining}{postfix}]"


class ProgressBar:
    """A step a window; silent when quiet or when stderr is not a terminal."""

    def __init__(self, *, quiet: bool) -> None:
        silent = True if quiet or sys.stderr is None else None
        self._bar: tqdm[Any] = tqdm(
            desc="starting", bar_format=STARTING, disable=silent, dynamic_ncols=True, leave=False
        )

    def say(self, what: str) -> None:
        self._bar.set_description_str(what)

    def plan(self, windows: int) -> None:
        self._bar.bar_format = MEASURING
        self._bar.set_description_str("measuring", refresh=False)
        self._bar.reset(total=windows)

    def window(self, what: str, images_per_second: float, *, more: int) -> None:
        self._bar.total = (self._bar.total or 0) + more
        self._bar.set_description_str(what, refresh=False)
        self._bar.set_postfix_str(f"{images_per_second:.1f} images/s", refresh=False)
        self._bar.update()

    def stop(self) -> None:
        self._bar.close()
