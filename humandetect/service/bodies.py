"""Request bodies, read within bounds, and clients that go away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from humandetect.errors import Overloaded
from humandetect.service.accept import media_type
from humandetect.service.problems import Refused
from humandetect.service.refusals import Cause

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Coroutine
    from typing import Any, Self

    from starlette.datastructures import FormData
    from starlette.requests import Request

Result = TypeVar("Result")

ENVELOPE_BYTES = 1_000_000
"""What a request may hold beside its images: ids, JSON, the headers of a form's parts."""
CURLS_TYPE = "application/x-www-form-urlencoded"
"""What curl says of --data-binary unless it is told."""


class ByteBudget:
    """Bytes that the bodies of all requests together may hold."""

    def __init__(self, limit: int) -> None:
        self.free = limit

    def take(self, size: int) -> None:
        if size > self.free:
            raise Overloaded("too many large requests at once; try again later")
        self.free -= size


class Held:
    """What one request holds of a budget, until the block ends."""

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self._size = 0

    def take(self, size: int) -> None:
        """Raise Overloaded where the budget has no more."""
        self._budget.take(size)
        self._size += size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.free += self._size


class Body(Held):
    """A request's body on its way in: never more than `limit` bytes, held until the request has its answer."""

    def __init__(self, request: Request, *, limit: int, budget: ByteBudget) -> None:
        super().__init__(budget)
        self._request = request
        self._limit = limit

    def __enter__(self) -> Self:
        length = self._request.headers.get("content-length", "")
        if length.isdecimal():
            self._check(int(length))
        return self

    async def read(self) -> bytearray:
        """Read it whole. Raises Refused, Overloaded, ClientDisconnect."""
        body = bytearray()
        async for chunk in self._chunks():
            body += chunk
        return body

    async def read_files(self, *, max_files: int) -> list[tuple[str | None, bytes]]:
        """Read a form and return the names and contents of its files."""
        parser = _InMemoryParser(self._request.headers, self._chunks(), max_files=max_files, max_fields=100)
        try:
            form = await parser.parse()
        except MultiPartException as error:
            if "files" in error.message:
                raise Refused(Cause.TOO_MANY, f"too many images: at most {max_files} a request") from error
            raise Refused(Cause.NOT_UNDERSTOOD, f"the form cannot be read: {error.message}") from error
        try:
            files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
            return [(file.filename or None, await file.read()) for file in files]
        finally:
            await form.close()

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        async for chunk in self._request.stream():
            self._check(self._size + len(chunk))
            self.take(len(chunk))
            yield chunk

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise Refused(Cause.TOO_LARGE, f"the request is too large: at most {self._limit:,} bytes are taken")


class _InMemoryParser(MultiPartParser):
    """Keeps files in memory, which the budget bounds, rather than on a disk that may be full or not be there."""

    spool_max_size = 2**62
    _is_complete = False

    def on_end(self) -> None:
        self._is_complete = True

    async def parse(self) -> FormData:
        form = await super().parse()
        if not self._is_complete:
            for file in self._files_to_close_on_error:
                file.close()
            raise MultiPartException("it breaks off before its last boundary")
        return form


def check_content_type(request: Request, accepted: Collection[str]) -> str:
    """Return the body's media type, empty when the client names none; raise Refused for others."""
    encodings = [*request.headers.getlist("content-encoding"), *request.headers.getlist("transfer-encoding")]
    for encoding in encodings:
        if encoding.lower() not in ("identity", "chunked"):
            raise Refused(Cause.OTHER_TYPE, f"the body is encoded as {encoding[:40]!r}: send it as it is")
    kind = media_type(request.headers.get("content-type", ""))
    if kind and kind not in accepted:
        for_curl = " (curl: -H 'Content-Type: image/jpeg')" if kind == CURLS_TYPE and "image/jpeg" in accepted else ""
        raise Refused(Cause.OTHER_TYPE, f"the content type is {kind[:80]!r}: send {', '.join(accepted)}{for_curl}")
    return kind


async def unless_gone(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """Await `work`, but drop it and raise ClientDisconnect when the client leaves. The body has been read before."""
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_client_leaves(request))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        watching.cancel()
        await asyncio.wait({working, watching})


async def _client_leaves(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
