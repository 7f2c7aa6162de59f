"""What makes a config refuse its values."""

from __future__ import annotations

from humandetect.errors import UsageError

MAX_MEGAPIXELS = 2000
"""What FFmpeg and the image libraries can count in 31 bits."""


def require(met: bool, message: str) -> None:
    """Raise UsageError with the message unless the condition is met."""
    if not met:
        raise UsageError(message)
