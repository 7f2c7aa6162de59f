"""Whom `watch` tells of events, and how much it keeps of them."""

from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import unquote, urlsplit

from annotated_types import Ge, Le

from humandetect.addresses import shown_address
from humandetect.config.fields import check
from humandetect.config.option import Opt, require


@dataclass(frozen=True, slots=True)
class DeliveryConfig:
    """Where events go, and the bounds of what is stored and of what waits to be sent."""

    mqtt: Annotated[
        str | None,
        Opt(
            "Tell a broker of cameras and events; Home Assistant finds them there.",
            "Output",
            metavar="mqtt[s]://USER:PASSWORD@HOST:PORT/PREFIX",
            secret=True,
        ),
    ] = field(default=None, repr=False)
    webhook: Annotated[
        str | None, Opt("Post each event to this address, as JSON.", "Output", metavar="URL", secret=True)
    ] = field(default=None, repr=False)
    webhook_secret: Annotated[
        str | None, Opt("Sign what --webhook posts with this key (HMAC-SHA256).", "Output", metavar="KEY", secret=True)
    ] = field(default=None, repr=False)
    keep_event_days: Annotated[int, Opt("How long events and counts are kept.", "Limits"), Ge(1), Le(36_500)] = 365
    most_events: Annotated[
        int, Opt("Most events, and rows of counts, that are kept; the oldest go first.", "Limits"), Ge(1)
    ] = 1_000_000
    most_queued: Annotated[
        int,
        Opt(
            "Most events that wait for --mqtt or --webhook each; the oldest are dropped.", "Limits",
            needs=("mqtt", "webhook"),
        ),
        Ge(1),
    ] = 100_000  # fmt: skip

    def __post_init__(self) -> None:
        check(self)
        _require_address("--mqtt", self.mqtt, ("mqtt", "mqtts"), like="mqtt://user:password@broker:1883")
        _require_address("--webhook", self.webhook, ("http", "https"), like="https://host/people")
        mqtt = self.mqtt or ""
        parts = urlsplit(mqtt)
        require(
            not (set(mqtt) & set("?#") or set(unquote(parts.path)) & set("+#")),
            "--mqtt: the prefix of topics has no ?, + or #, and in a password ? is %3F, # is %23",
        )
        require(not parts.password or bool(parts.username), "--mqtt: brokers take a password only with a user name")
        require(self.webhook is not None or self.webhook_secret is None, "--webhook-secret signs: give --webhook")
        require(self.webhook_secret != "", "--webhook-secret is empty: who would be kept from forging?")

    @property
    def receivers(self) -> tuple[str, ...]:
        """Names of those that events are queued for."""
        return tuple(name for name in ("mqtt", "webhook") if getattr(self, name) is not None)


def _require_address(option: str, address: str | None, schemes: tuple[str, ...], *, like: str) -> None:
    if address is None:
        return
    try:
        parts = urlsplit(address)
        met = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        met = False
    require(met, f"{option} must be an address such as {like}, got {shown_address(address)}")
