"""What the kernel knows of a connection and no transport does: how much of an answer its client has taken."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

_TCP_INFO = getattr(socket, "TCP_INFO", None)
_TCP_INFO_BYTES, _UNACKNOWLEDGED_AT, _ACKNOWLEDGED_AT, _NOT_SENT_AT = 148, 24, 120, 144


def sent_bytes(transport: asyncio.Transport) -> tuple[int, bool]:
    """Return how much the client has taken, and whether more is waiting for it.

    Linux is asked itself, because under TLS no transport knows what lies in the one below it. Elsewhere the buffer's
    shrinking has to do.
    """
    connection: Any = transport.get_extra_info("socket")
    buffered = transport.get_write_buffer_size()
    if _TCP_INFO is None or connection is None or connection.family not in (socket.AF_INET, socket.AF_INET6):
        return -buffered, buffered > 0
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _TCP_INFO_BYTES)
    except OSError:  # gone this very moment
        return 0, False
    if len(info) < _TCP_INFO_BYTES:  # a kernel before 4.6
        return -buffered, buffered > 0
    unacknowledged, not_sent = (struct.unpack_from("=I", info, at)[0] for at in (_UNACKNOWLEDGED_AT, _NOT_SENT_AT))
    acknowledged: int = struct.unpack_from("=Q", info, _ACKNOWLEDGED_AT)[0]
    return acknowledged, bool(buffered or unacknowledged or not_sent)
