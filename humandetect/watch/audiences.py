"""All who are told what cameras show."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from humandetect.watch.base import Audience

logger = logging.getLogger(__name__)


class Audiences:
    """Tells each of them in turn; the fault of one costs neither the others nor the cameras anything."""

    def __init__(self, audiences: Iterable[Audience]) -> None:
        self._all = list(audiences)
        self._faulty: list[Audience] = []
        """Those that raised once."""

    def join(self, audience: Audience) -> Callable[[], None]:
        """Tell one more from now on; returns how to leave."""
        self._all = [*self._all, audience]  # a new list: another thread may go through the one before

        def leave() -> None:
            self._all = [one for one in self._all if one is not audience]

        return leave

    def tell(self, tell: Callable[[Audience], None]) -> None:
        for audience in self._all:
            try:
                tell(audience)
            except Exception:  # it must not cost the cameras their weeks
                if audience not in self._faulty:
                    self._faulty.append(audience)
                    logger.exception("%s fails to take what cameras show", type(audience).__name__)
