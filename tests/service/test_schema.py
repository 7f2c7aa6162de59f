"""The OpenAPI document against the application: requests made up from it, valid and not, get answers it describes."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from humandetect import errors
from humandetect.config import ServeConfig
from humandetect.detection.detector import Detector
from humandetect.errors import HumanDetectError
from humandetect.service.app import create_app
from humandetect.service.refusals import cause_of
from tests.fakes import FakeEngine
from tests.service.images import jpeg, png

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from fastapi import FastAPI
    from fastapi.testclient import TestClient
    from schemathesis import Case, CheckFunction
    from schemathesis.schemas import BaseSchema
    from starlette.types import Receive, Scope, Send

IMAGES = (jpeg(), png(), jpeg()[:200], b"no picture", b"")
EXPECTED = [200, 400, 406, 503]
"""Answers to what is as the schema says: it cannot say what a picture is (400), nor who must be in it (503), and does
not say how many may come (406)."""
PATHS = ("/request", "/v1/detect", "/healthz", "/readyz", "/metrics")


async def fresh_app(scope: Scope, receive: Receive, send: Send) -> None:
    """Begin anew with each lifespan: schemathesis starts and ends one with each test, and what ended stays so."""
    if scope["type"] == "lifespan":
        running[:] = [create_app(ServeConfig(), detector=Detector(FakeEngine()))]
    await running[0](scope, receive, send)


running: list[FastAPI] = []


@pytest.fixture(scope="module")
def schema() -> BaseSchema:
    import schemathesis  # takes seconds, which no other file needs to wait for

    for kind in ("image/jpeg", "image/png", "application/octet-stream"):
        schemathesis.openapi.media_type(kind, st.sampled_from(IMAGES))
    checks = {"positive_data_acceptance": {"expected-statuses": EXPECTED}}
    schema = schemathesis.openapi.from_asgi(
        "/openapi.json", fresh_app, config=schemathesis.Config.from_dict({"checks": checks})
    )
    schema.hook(map_body)
    return schema


def map_body(_: object, body: Any) -> Any:
    """Let texts that stand for pictures be pictures, or nearly."""
    if isinstance(body, dict) and isinstance(body.get("input"), list):
        for entry in body["input"]:
            if isinstance(entry, dict) and isinstance(text := entry.get("image"), str):
                entry["image"] = base64.b64encode(IMAGES[len(text) % len(IMAGES)]).decode()
    return body


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_is_one_that_the_schema_describes(schema: BaseSchema, path: str) -> None:
    from schemathesis import GenerationMode
    from schemathesis.checks import not_a_server_error

    # the fake engine does not see what the deep health check expects, and 503 is how that is told
    may_fail: list[CheckFunction] = [not_a_server_error] if path == "/readyz" else []
    for operation in schema[path].values():

        @given(case=st.one_of(*map(operation.as_strategy, GenerationMode)))
        @settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        def check(case: Case[Any]) -> None:
            case.call_and_validate(excluded_checks=may_fail)

        check()


def test_every_path_is_asked(schema: BaseSchema) -> None:
    assert set(schema) == set(PATHS)


def test_whatever_asks_for_the_key_says_so_in_the_schema(
    ask: Callable[..., AbstractContextManager[TestClient]],
) -> None:
    with ask(api_key="secret") as client:
        for path, methods in client.get("/openapi.json").json()["paths"].items():
            for method, operation in methods.items():
                status = client.request(method, path, params={"deep": "1"}).status_code
                assert ("401" in operation["responses"]) == (status == 401), (method, path, status)


def test_the_documentation_says_where_the_key_goes(ask: Callable[..., AbstractContextManager[TestClient]]) -> None:
    with ask(api_key="secret") as client:
        document = client.get("/openapi.json").json()
    bearer, header = document["components"]["securitySchemes"].values()
    assert (bearer["scheme"], header["name"]) == ("bearer", "X-API-Key")
    assert "`Authorization: Bearer KEY`" in document["info"]["description"]
    assert "security" not in document["paths"]["/healthz"]["get"]
    for path, method in (("/request", "post"), ("/v1/detect", "post"), ("/metrics", "get")):
        assert len(document["paths"][path][method]["security"]) == 2  # either of the two


def test_a_server_without_a_key_documents_none(ask: Callable[..., AbstractContextManager[TestClient]]) -> None:
    with ask() as client:
        document = client.get("/openapi.json").json()
    assert "securitySchemes" not in document["components"]
    assert "`X-API-Key: KEY`" in document["info"]["description"]


def test_every_error_has_a_status_that_the_schema_describes() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, HumanDetectError)]
    assert len(kinds) > 10
    assert all(cause_of(kind("why")).meaning for kind in kinds)
