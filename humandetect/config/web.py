"""Where `watch` shows what it sees, and to whom."""

from dataclasses import dataclass, field
from typing import Annotated

from humandetect.config.fields import check
from humandetect.config.option import Opt, require
from humandetect.config.serve import TlsCertField, TlsKeyField, require_tls_pair

LARGEST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class WebConfig:
    """The page, the API and the metrics of one `watch`."""

    listen: Annotated[
        str | None,
        Opt(
            "Show the cameras on a page at this address; a port alone is for this machine only.", "Server",
            names=("--web",), metavar="[HOST:]PORT",
        ),
    ] = None  # fmt: skip
    api_key: Annotated[
        str | None,
        Opt(
            "Ask whoever wants to see a camera for it; safest in the environment.", "Server", metavar="KEY",
            secret=True, needs=("listen",),
        ),
    ] = field(default=None, repr=False)  # fmt: skip
    tls_cert: TlsCertField = None
    tls_key: TlsKeyField = None

    def __post_init__(self) -> None:
        check(self)
        require(
            self.api_key is None or bool(self.api_key.strip()), "the API key is empty: leave it out to ask for none"
        )
        require_tls_pair(self.tls_cert, self.tls_key)
        if self.listen is not None:
            _ = self.address

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen at; this machine's own where none is told."""
        host, _, port = ("0" if self.listen is None else self.listen).rpartition(":")
        is_port = port.isascii() and port.isdigit() and int(port) <= LARGEST_PORT
        require(is_port, f"the page needs a port or HOST:PORT, such as 8080 or 0.0.0.0:8080, got {self.listen!r}")
        return host.removeprefix("[").removesuffix("]") or "127.0.0.1", int(port)
