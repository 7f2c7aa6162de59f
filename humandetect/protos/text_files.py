"""Messages in protocol buffers' text form: files that people write, so mistakes are shown by line and reason."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from google.protobuf.message import Message
    from google.protobuf.text_format import ParseError

    from humandetect.errors import HumanDetectError

_UNKNOWN_FIELD = re.compile(r'Message type "(.+)" has no field named "(.+)"')


def read_text_file(path: Path, message: Message, *, failure: type[HumanDetectError]) -> str:
    """Fill `message` from a file, whose text is returned; raises `failure` with line and reason."""
    from google.protobuf import text_format  # few commands read a file of this kind

    try:
        text = path.read_text(encoding="utf-8")
        text_format.Parse(text, message)
    except text_format.ParseError as error:
        raise failure(f"{path}, line {error.GetLine() or 1}: {_reason(error, message)}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise failure(f"{path} cannot be read: {error}") from error
    return text


def _reason(error: ParseError, message: Message) -> str:
    """Return the library's words without the position; it does not say which fields it knows."""
    reason = str(error)
    if unknown := _UNKNOWN_FIELD.search(reason):
        known = message.DESCRIPTOR.file.pool.FindMessageTypeByName(unknown[1]).fields_by_name
        return f"unknown field {unknown[2]}, expected {' or '.join(sorted(known))}"
    return reason.partition(" : ")[2] or reason
