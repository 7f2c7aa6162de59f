"""Which refusals pass by themselves, and that each of the others names cause and fix."""

from __future__ import annotations

import pytest

from humandetect.engines.tfserving.failures import CallFailed, explained
from humandetect.errors import EngineError, EngineTimeout, EngineUnavailable, ModelError


@pytest.mark.parametrize(
    ("code", "details", "kind"),
    [
        ("UNAVAILABLE", "failed to connect to all addresses; last error: Connection refused", "away"),
        ("UNAVAILABLE", "Socket closed", "away"),
        ("CANCELLED", "CANCELLED", "away"),
        ("INTERNAL", "Received RST_STREAM with error code 2", "away"),
        ("UNKNOWN", "Stream removed", "away"),
        ("UNAVAILABLE", "The batch scheduling queue to which this task was submitted is full", "busy"),
        ("RESOURCE_EXHAUSTED", "", "busy"),
        ("RESOURCE_EXHAUSTED", "Server Threadpool Exhausted", "busy"),
        ("RESOURCE_EXHAUSTED", "CLIENT: Received message larger than max (5000000 vs. 4194304)", "final"),
        ("RESOURCE_EXHAUSTED", "OOM when allocating tensor with shape[1,300,300,3]", "final"),
        ("RESOURCE_EXHAUSTED", "Run() timeout exceeded while waiting in batching queue", "final"),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", "elsewhere"),
        ("NOT_FOUND", "Servable not found for request: Latest(people)", "elsewhere"),
        ("INVALID_ARGUMENT", "Expects arg[0] to be uint8 but float is provided", "final"),
        ("INTERNAL", "assertion failed", "final"),
        ("UNKNOWN", "Exception calling application", "final"),
    ],
)
def test_only_what_is_safe_and_may_pass_is_tried_again(code: str, details: str, kind: str) -> None:
    assert CallFailed("here:8500", code, details).kind == kind


@pytest.mark.parametrize(
    ("code", "details", "error", "said"),
    [
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", EngineTimeout, "within 3 s; raise --serving-timeout"),
        ("RESOURCE_EXHAUSTED", "Run() timeout exceeded while waiting in batching queue", EngineTimeout, "parallel"),
        ("RESOURCE_EXHAUSTED", "Received message larger than max (9 vs. 4)", EngineError, "too large .*lower --batch"),
        ("NOT_FOUND", "Servable not found for request: Latest(people)", ModelError, "no longer has the model"),
        ("INVALID_ARGUMENT", "Expects arg[0] to be uint8", EngineError, "refuses 2 images.*Expects arg"),
        ("UNIMPLEMENTED", "", EngineUnavailable, "not TensorFlow Serving"),
        ("INTERNAL", "assertion failed", EngineError, "failed on 2 images.*INTERNAL assertion failed"),
    ],
)
def test_other_refusals_are_explained(code: str, details: str, error: type[EngineError], said: str) -> None:
    found = explained(CallFailed("here:8500", code, details), sent="2 images (8, 8, 3) uint8", timeout_seconds=3)
    assert type(found) is error
    with pytest.raises(error, match=said):
        raise found


@pytest.mark.parametrize(
    ("details", "said"),
    [
        ("Failed parsing HTTP/2 (Expected SETTINGS frame as the first frame, got frame type 79)", "8501 is REST"),
        ("SSL_ERROR_SSL: error:100000f7:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER", "does not speak TLS"),
        ("CERTIFICATE_VERIFY_FAILED: unable to get local issuer certificate", "--serving-ca"),
        ("UNAUTHENTICATED: Hostname Verification Check failed.", "--serving-server-name"),
        ("Failed to create security handshaker.", "PEM"),
    ],
)
def test_mistakes_that_waiting_cannot_mend_are_told_from_the_rest(details: str, said: str) -> None:
    failure = CallFailed("here:8500", "UNAVAILABLE", f"failed to connect to all addresses; last error: {details}")
    assert failure.hopeless
    assert said in failure.reason
    assert not CallFailed("here:8500", "UNAVAILABLE", "Connection refused").hopeless
