"""Who may see the cameras: pages of this server, under names that are its own, with the key if there is one.

Stricter than `serve`, which shows nothing of its own: a page from elsewhere must not get a browser in this house to
look at the cameras for it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import socket
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse

from humandetect.service.middleware import keys_given
from humandetect.service.refusals import Cause

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

COOKIE = "humandetect"
COOKIE_SECONDS = 30 * 86_400
OPEN = frozenset({"/", "/healthz", "/readyz", "/v1/session"})
"""Answered without the key, as is everything under /static/."""
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """Refuse requests and WebSockets before anything of them is read."""

    def __init__(self, app: ASGIApp, *, key: str | None) -> None:
        self._app = app
        self._key = key.strip().encode("utf-8", "surrogateescape") if key else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = None if scope["type"] == "lifespan" else self._refusal(scope, Headers(scope=scope))
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})  # before it is accepted: status 403
        else:
            status, message = refusal
            asks = {"WWW-Authenticate": "Bearer"} if status == Cause.NO_KEY else None
            await JSONResponse({"message": message}, status, asks)(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[Cause, str] | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if self._key is None and not _is_own(host):
            return Cause.OTHER_HOST, f"this is not {host}: without an API key use an IP address or localhost"
        changes = scope["type"] == "websocket" or scope["method"] not in _READS
        if changes and origin is not None and urlsplit(origin).netloc != host:
            return Cause.OTHER_HOST, f"pages of {origin} have no business here"
        path = scope["path"]
        if self._key is None or path in OPEN or path.startswith("/static/") or self.knows(scope, headers):
            return None
        return Cause.NO_KEY, (
            "this needs the API key: send it as `Authorization: Bearer KEY`, as `X-API-Key: KEY` or as the password "
            "of any user"
        )

    def knows(self, scope: Scope, headers: Headers) -> bool:
        """Compare every key given, in a time that says nothing of the right one."""
        key = self._key
        if key is None:
            return True
        given = [*keys_given(scope), *_passwords(headers)]
        matches = [hmac.compare_digest(one, key) for one in given]
        cookie = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        matches.append(hmac.compare_digest(cookie.encode(), self.pass_of_browser.encode()))
        return any(matches)

    @property
    def pass_of_browser(self) -> str:
        """What a browser gets for the key, which it need not keep: worth as much here, and nothing elsewhere."""
        return hmac.new(self._key or b"", b"humandetect watch", hashlib.sha256).hexdigest()


def _passwords(headers: Headers) -> list[bytes]:
    """Return what players and Home Assistant send as a user's password."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        with suppress(ValueError):
            return [base64.b64decode(token, validate=True).partition(b":")[2]]
    return []


def _is_own(host: str) -> bool:
    """Tell whether a name is this machine's, whatever the name servers of others say."""
    name = urlsplit(f"//{host}").hostname or ""
    with suppress(ValueError):
        ipaddress.ip_address(name)
        return True
    own = socket.gethostname().lower()
    return name == "localhost" or name in {own, own.partition(".")[0], f"{own.partition('.')[0]}.local"}
