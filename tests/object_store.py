"""S3 on loopback: moto as a real server, which notes what it is asked, and fails when it is told to."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import fsspec
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

LOST = "lost"
NOWHERE = {
    "AWS_CONFIG_FILE": "/nowhere", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
    "AWS_EC2_METADATA_DISABLED": "true", "AWS_DEFAULT_REGION": "us-east-1",
}  # fmt: skip
"""No credentials of whoever runs the tests are used."""
_STATUS = {
    "SlowDown": "503 Slow Down", "InternalError": "500 Internal Server Error", "ExpiredToken": "400 Bad Request",
}  # fmt: skip
"""Of codes whose status is not that of a refusal."""


class ObjectStore:
    """Answers as S3 does, but where `fault` says of a request, given its number, how it fails."""

    def __init__(self) -> None:
        self.address = ""
        self.asked: list[str] = []
        """Method and path of each request, as of `GET /bucket/key`."""
        self._fault: Callable[[int], str | None] = lambda _: None
        self._s3 = DomainDispatcherApplication(create_backend_app)
        self._access = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with self._access:
            self.asked.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
            fault = self._fault(len(self.asked))
        if fault is None:
            answer: Iterable[bytes] = self._s3(environ, start_response)
            return answer
        if fault == LOST:
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        start_response(_STATUS.get(fault, "403 Forbidden"), [("Content-Type", "application/xml")])
        told = f"<?xml version='1.0'?><Error><Code>{fault}</Code><Message>as a test wants it</Message></Error>"
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [told.encode()]

    @property
    def environment(self) -> dict[str, str]:
        """With which a process finds it, with credentials for it."""
        credentials = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
        return {**NOWHERE, **credentials, "AWS_ENDPOINT_URL": self.address}

    @contextmanager
    def failing(self, fault: Callable[[int], str | None]) -> Iterator[None]:
        before, self._fault = self._fault, fault
        try:
            yield
        finally:
            self._fault = before


class _Silent(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


def new_bucket() -> str:
    """Return the address of a new bucket."""
    fsspec.get_filesystem_class(
        "s3"
    ).clear_instance_cache()  # what is in it keeps the credentials that it was made with
    name = f"bucket-{uuid4()}"
    fsspec.filesystem("s3").mkdir(name)
    return f"s3://{name}"


@contextmanager
def serving() -> Iterator[ObjectStore]:
    store = ObjectStore()
    server = make_server("127.0.0.1", 0, store, threaded=True, request_handler=_Silent)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    store.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield store
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
