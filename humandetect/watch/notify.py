"""Whom the store's events are sent to."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from humandetect.watch.delivery import Delivery
from humandetect.watch.metrics import DeliveryFigures
from humandetect.watch.store import RESULTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from humandetect.config.delivery import DeliveryConfig
    from humandetect.watch.base import Audience
    from humandetect.watch.store import Store


@contextmanager
def delivering(config: DeliveryConfig, store: Store) -> Iterator[list[Audience]]:
    """Send the store's events until the end, and yield those who want to hear of states, too. Raises MissingExtra."""
    audiences: list[Audience] = []
    with ExitStack() as closing:
        if config.mqtt is not None:
            from humandetect.watch.mqtt import Broker

            broker = Broker(config.mqtt, store)
            audiences.append(broker)
            closing.callback(Delivery(store, broker).close)
        if config.webhook is not None:
            from humandetect.watch.webhook import Webhook

            webhook = Webhook(config.webhook, secret=config.webhook_secret)
            closing.callback(Delivery(store, webhook).close)
        yield audiences


def delivery_figures(config: DeliveryConfig, store: Store) -> DeliveryFigures:
    """Return what was sent so far, and what waits."""
    sent = {(receiver, result): store.outcomes[receiver, result] for receiver in config.receivers for result in RESULTS}
    return DeliveryFigures(sent, {receiver: store.queued(receiver) for receiver in config.receivers})
