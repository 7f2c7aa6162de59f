"""The client sends what it should, and notes what came of it."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from starlette.responses import PlainTextResponse

from humandetect.bench.load_process import LoadProcess
from humandetect.bench.loads import Load, WindowPlan
from humandetect.bench.server_load import ServerLoad, ServerSetup
from humandetect.errors import HumanDetectError
from tests.service.faults import PERSON, Call, Faulty, answers, good, out, problem
from tests.service.images import jpeg
from tests.service.servers import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.responses import Response

    from humandetect.bench.samples import WindowSamples

PICTURES = tuple(jpeg(shade=shade) for shade in (0, 80, 160))


@contextmanager
def asking(answer: Callable[[Call], Response], **options: Any) -> Iterator[tuple[ServerLoad, Faulty]]:
    app = Faulty(answer)
    with running(app) as url:
        yield ServerLoad(ServerSetup(url, PICTURES, **options)), app


def window(
    answer: Callable[[Call], Response], *, requests: int = 4, batch: int = 1, concurrency: int = 2, **options: Any
) -> WindowSamples:
    with asking(answer, **options) as (client, _):
        return client(WindowPlan(Load("batch", batch, concurrency), seconds=1.0, requests=requests))


def errors(samples: WindowSamples) -> set[str]:
    return {sample.error for sample in samples.sent}


def test_every_request_holds_as_many_pictures_as_it_should_and_all_get_their_turn() -> None:
    with asking(good, api_key="secret") as (client, app):
        for _ in range(2):
            client(WindowPlan(Load("batch", 2, 2), seconds=1.0, requests=2))
    assert [len(call.images) for call in app.calls] == [2, 2, 2, 2]
    assert {image for call in app.calls for image in call.images} == set(PICTURES)
    assert app.calls[0].headers["x-api-key"] == "secret"
    assert app.most_at_once <= 2


def test_answers_are_noted_with_what_they_claim() -> None:
    samples = window(good, requests=6, batch=2)
    assert len(samples.counted) == 6
    assert errors(samples) == {""}
    assert sorted(image for image, _ in samples.reported) == [0, 1, 2]
    assert all(people == [PERSON] for _, people in samples.reported)
    assert all(len(sample.reported) == 2 for sample in samples.sent)


def test_a_steady_window_leaves_out_its_beginning_and_its_end() -> None:
    with asking(good) as (client, _):
        samples = client(WindowPlan(Load("stream", 1, 4), seconds=0.5))
    assert 0 < len(samples.counted) < len(samples.sent)
    assert 0.5 <= samples.seconds < 30


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (lambda call: problem(503), "status 503"),
        (lambda call: PlainTextResponse("people? here?"), "no answer of this endpoint"),
        (lambda call: answers([]), "images without an answer"),
        (lambda call: answers([out("0", annotated_image="")]), "no annotated picture"),
        (lambda call: answers([{"id": "0", "annotated_image": "x"}]), "no answer of this endpoint"),
    ],
)  # fmt: skip
def test_errors_are_told_by_kind(answer: Callable[[Call], Response], kind: str) -> None:
    assert errors(window(answer)) == {kind}


def test_a_slow_server_is_a_timeout() -> None:
    def slow(call: Call) -> Response:
        time.sleep(0.3)
        return good(call)

    assert errors(window(slow, timeout_seconds=0.1)) == {"timeout"}


def test_a_server_that_is_gone_is_no_connection() -> None:
    with asking(good) as (client, _):
        pass
    assert errors(client(WindowPlan(Load("stream", 1, 1), seconds=1.0, requests=2))) == {"no connection"}


def test_a_stall_shows_in_the_latencies_of_all_that_were_due_meanwhile() -> None:
    def stalled(call: Call) -> Response:
        time.sleep(0.5 if call.number == 0 else 0)
        return good(call)

    with asking(stalled) as (client, _):
        samples = client(WindowPlan(Load("stream", 1, 1, rate=10.0), seconds=0.4))
    latencies = [sample.ended - sample.due for sample in samples.counted]
    assert len(latencies) == 4
    assert all(latency > 0.19 for latency in latencies), "request number 3 was due after 0.3 s and sent after 0.5"
    assert latencies[0] > latencies[-1]


def test_the_client_runs_in_a_process_of_its_own() -> None:
    app = Faulty(good)
    with running(app) as url, LoadProcess("humandetect.bench.server_load") as client:
        client.ask(ServerSetup(url, PICTURES))
        samples = client.ask(WindowPlan(Load("stream", 1, 2), seconds=1.0, requests=3))
        process = client.process
    assert errors(samples) == {""}
    assert process.poll() is not None


def test_a_process_that_dies_is_an_error() -> None:
    with LoadProcess("humandetect.bench.server_load") as client:
        client.process.kill()
        with pytest.raises(HumanDetectError, match="exit code -9"):
            client.ask(ServerSetup("http://127.0.0.1:1", PICTURES))
