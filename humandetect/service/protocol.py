"""HTTP over a connection with deadlines."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class DeadlineProtocol(HttpToolsProtocol):
    """Speak HTTP to a client that keeps up."""
