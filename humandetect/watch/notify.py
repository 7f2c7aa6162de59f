"""Whom the store's events are sent to."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from humandetect.watch.delivery import Delivery
from humandetect.watch.metrics import DeliveryFigures
from humandetect.watch.store import RESULTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from humandetect.config.delivery import DeliveryConfig
    from humandetect.watch.base import Audience
    from humandetect.watch.store import Store


@contextmanager
def delivering(config: DeliveryConfig, store: Store) -> Iterator[list[Audience]]:
    """Send the store's events until the end, and yield those who want to hear of states, too. Raises MissingExtra."""
    audiences: list[Audience] = []
    deliveries: list[Delivery] = []
    try:
        if config.mqtt is not None:
            from humandetect.watch.mqtt import Broker

            broker = Broker(config.mqtt, store)
            audiences.append(broker)
            deliveries.append(Delivery(store, broker))
        if config.webhook is not None:
            from humandetect.watch.webhook import Webhook

            webhook = Webhook(config.webhook, secret=config.webhook_secret)
            deliveries.append(Delivery(store, webhook))
        yield audiences
    finally:
        _close(deliveries)


def _close(deliveries: Sequence[Delivery]) -> None:
    """Close all at once: a receiver that hangs takes its time, and the others have to be told, too."""
    threads = [threading.Thread(target=one.close, name="deliveries' end") for one in deliveries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def delivery_figures(config: DeliveryConfig, store: Store) -> DeliveryFigures:
    """Return what was sent so far, and what waits."""
    sent = {(receiver, result): store.outcomes[receiver, result] for receiver in config.receivers for result in RESULTS}
    queued = {receiver: store.queued(receiver) for receiver in config.receivers}
    return DeliveryFigures(sent, queued, {what: store.lost[what] for what in ("events", "counts")})
