"""`POST /request` keeps the promises of the older service, and its own."""

from __future__ import annotations

import base64
import json
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from humandetect.errors import EngineError
from tests.fakes import INFO, FakeEngine
from tests.service.images import batch, entry, jpeg, pixels, png

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    import numpy as np

    from tests.service.conftest import Client

    Ask = Callable[..., AbstractContextManager[Client]]

SHADES = (0, 100, 200)


def message(answer: Any) -> str:
    text: str = answer.json()["message"]
    return text


def test_each_image_comes_back_annotated_with_its_people_in_the_order_sent(client: Client) -> None:
    images = [jpeg(80, 40 + 20 * index, shade=shade) for index, shade in enumerate(SHADES)]
    answer = client.post("/request", json=batch(*images)).json()
    assert answer["errors"] == {}
    assert [output["id"] for output in answer["output"]] == ["0", "1", "2"]
    for index, (shade, output) in enumerate(zip(SHADES, answer["output"], strict=True)):
        height = 40 + 20 * index
        assert pixels(output["annotated_image"]).shape == (height, 80, 3)
        (person,) = output["people"]
        assert person["box"] == [0, height / 4, 40, height * 3 / 4]
        assert person["score"] == pytest.approx(0.7 + shade / 1000, abs=0.01)


def test_the_people_are_drawn(client: Client) -> None:
    sent = png(320, 240)
    output = client.post("/request", json=batch(sent)).json()["output"][0]
    drawn, plain = pixels(output["annotated_image"]).astype(int), pixels(base64.b64encode(sent).decode()).astype(int)
    assert abs(drawn - plain).max() > 100
    assert abs(drawn - plain)[-20:, -100:].max() < 30


def test_a_bad_image_costs_only_itself(client: Client) -> None:
    body = {"input": [entry(jpeg(), "a"), entry(b"no image", "b"), entry(png(), "c")]}
    answer = client.post("/request", json=body)
    assert answer.status_code == 200
    assert [output["id"] for output in answer.json()["output"]] == ["a", "c"]
    errors = answer.json()["errors"]
    assert errors["error_ids"] == ["b"]
    assert errors["reasons"] == [{"index": 1, "id": "b", "reason": errors["reasons"][0]["reason"]}]
    assert "JPEG" in errors["message"]


def test_without_a_valid_image_the_answer_is_400_for_new_and_old_clients(client: Client) -> None:
    answer = client.post("/request", json={"input": [entry(b"", "a"), entry(b"GIF89a", "b")]})
    assert answer.status_code == 400
    body = answer.json()
    assert body["error_ids"] == body["errors"]["error_ids"] == ["a", "b"]
    assert body["message"] == body["errors"]["message"]
    assert [reason["index"] for reason in body["reasons"]] == [0, 1]


def test_sixteen_images_are_taken_and_seventeen_are_406_before_any_is_decoded(client: Client) -> None:
    assert client.post("/request", json=batch(*[jpeg()] * 16)).status_code == 200
    answer = client.post("/request", json=batch(*[b"not even an image"] * 17))
    assert answer.status_code == 406
    assert "16" in message(answer)


def test_an_empty_batch_is_400(client: Client) -> None:
    assert client.post("/request", json={"input": []}).status_code == 400


def test_ids_are_echoed_whatever_they_are(client: Client) -> None:
    ids = ["", "same", "same", "../../etc/passwd", "ü\n\x00😀", "x" * 100_000]
    answer = client.post("/request", json={"input": [entry(jpeg(), name) for name in ids]}).json()
    assert [output["id"] for output in answer["output"]] == ids
    broken = client.post("/request", json={"input": [entry(b"?", name) for name in ids]}).json()
    assert broken["error_ids"] == ids


@pytest.mark.parametrize(
    "disguise",
    [
        lambda text: "data:image/jpeg;base64," + text,
        lambda text: "\r\n".join(text[start : start + 76] for start in range(0, len(text), 76)),
        lambda text: text.rstrip("="),
        lambda text: text.replace("+", "-").replace("/", "_"),
    ],
)
def test_base64_is_read_in_its_usual_disguises(client: Client, disguise: Callable[[str], str]) -> None:
    text = base64.b64encode(jpeg(65, 47, shade=77)).decode()
    answer = client.post("/request", json={"input": [{"image": disguise(text), "id": "a"}]})
    assert answer.json()["errors"] == {}


@pytest.mark.parametrize(
    "where", ["http://127.0.0.1/x.jpg", "/etc/passwd", "file:///etc/passwd", "examples/people.jpg"]
)
def test_urls_and_paths_are_never_opened(client: Client, where: str) -> None:
    answer = client.post("/request", json={"input": [{"image": where, "id": "a"}]})
    assert answer.status_code == 400
    assert "root:" not in answer.text


def test_an_image_of_five_megabytes_is_too_large_and_one_just_under_is_read(client: Client) -> None:
    padded = jpeg() + b"\0" * 5_000_000
    answer = client.post("/request", json=batch(padded[:4_999_999], padded[:5_000_000])).json()
    assert [output["id"] for output in answer["output"]] == ["0"]
    assert "too large" in answer["errors"]["reasons"][0]["reason"]


def test_a_picture_of_too_many_pixels_is_refused_by_its_header(client: Client) -> None:
    bomb = bytearray(png())
    bomb[16:24] = (30_000).to_bytes(4) * 2
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4)
    reason = client.post("/request", json=batch(bytes(bomb))).json()["reasons"][0]["reason"]
    assert "30000 x 30000" in reason
    assert "50 megapixels" in reason


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b'{"input": 3}', b'{"input": [3]}', b'{"input": [{"id": "a"}]}',
        b'{"input": [{"image": "x"}]}', b'{"input": [{"image": 3, "id": "a"}]}',
        b'{"input": [{"image": "x", "id": null}]}',
        b'{"input": NaN}', b'{"input": [{"image": "\\ud800", "id": "a"}]}', b"\xff\xfe", b"[" * 100_000,
        b'{"input":' + b'[' * 5000 + b']' * 5000 + b"}", b'{"input": ' + b"9" * 100_000 + b"}",
        b'{"input": [{"image": "x", "id": ' + b"9" * 100_000 + b"}]}",
    ],
)  # fmt: skip
def test_what_is_not_this_json_is_422_with_a_short_reason(client: Client, body: bytes) -> None:
    answer = client.post("/request", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert 0 < len(message(answer)) < 500


@pytest.mark.parametrize("value", [b"[]", b"{}", b"0", b'""'])
def test_millions_of_values_are_422_before_they_take_a_hundred_times_the_memory(client: Client, value: bytes) -> None:
    body = b'{"input": [' + b",".join([value] * 2_000_000) + b"]}"
    answer = client.post("/request", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert "values" in message(answer)


def test_the_first_mistake_of_many_is_told(client: Client) -> None:
    answer = client.post("/request", json={"input": [{}] * 10_000})
    assert answer.status_code == 422
    assert message(answer).count("required") <= 2


def test_fields_that_nobody_knows_do_no_harm(client: Client) -> None:
    body = {"input": [entry(jpeg()) | {"camera": 7}], "comment": "hi"}
    assert client.post("/request", json=body).status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "image/jpeg", "nonsense"])
def test_other_content_types_are_415_and_say_which_is_wanted(client: Client, kind: str) -> None:
    answer = client.post("/request", content=json.dumps(batch(jpeg())), headers={"Content-Type": kind})
    assert answer.status_code == 415
    assert "application/json" in message(answer)


def test_a_client_that_names_no_content_type_is_understood(client: Client) -> None:
    request = client.build_request("POST", "/request", content=json.dumps(batch(jpeg())))
    request.headers.pop("Content-Type", None)
    assert client.send(request).status_code == 200


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
def test_encoded_bodies_are_415(client: Client, encoding: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    assert client.post("/request", content=b"x", headers=headers).status_code == 415


def test_an_encoding_cannot_hide_behind_another(client: Client) -> None:
    headers = [("Content-Type", "application/json"), ("Content-Encoding", "identity"), ("Content-Encoding", "gzip")]
    assert client.post("/request", content=b"x", headers=headers).status_code == 415


def test_a_byte_order_mark_before_the_json_does_no_harm(client: Client) -> None:
    body = b"\xef\xbb\xbf" + json.dumps(batch(jpeg())).encode()
    answer = client.post("/request", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200


def test_a_body_over_the_limit_is_413_by_its_header_and_by_its_bytes(ask: Ask) -> None:
    with ask(max_images=1, max_image_mb=0.1) as client:
        large = b'{"input": [' + b" " * 2_000_000
        headers = {"Content-Type": "application/json"}
        assert client.post("/request", content=large, headers=headers).status_code == 413
        pieces = (large[start : start + 50_000] for start in range(0, len(large), 50_000))
        assert client.post("/request", content=pieces, headers=headers).status_code == 413


def test_more_images_than_the_queue_holds_are_503_with_retry_after(ask: Ask) -> None:
    with ask(queue=2, max_images=2) as client:
        inference = client.app.state.inference
        with inference.admitted(1):
            answer = client.post("/request", json=batch(jpeg(), jpeg()))
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) >= 1
        assert client.post("/request", json=batch(jpeg(), jpeg())).status_code == 200


def test_large_bodies_beyond_the_budget_are_503(client: Client) -> None:
    budget = client.app.state.budget
    free = budget.free
    budget.free = 100
    assert client.post("/request", json=batch(jpeg())).status_code == 503
    assert budget.free == 100
    budget.free = free
    assert client.post("/request", json=batch(jpeg())).status_code == 200
    assert budget.free == free


def test_an_engine_that_fails_costs_its_batch_and_no_more(ask: Ask) -> None:
    with ask(_FailsOnce()) as client:
        answer = client.post("/request", json=batch(jpeg()))
        assert answer.status_code == 500
        assert "/secret" not in answer.text
        assert answer.headers["X-Request-ID"] in message(answer)
        assert client.post("/request", json=batch(jpeg())).status_code == 200


class _FailsOnce(FakeEngine):
    def infer(self, images: np.ndarray) -> Any:
        if not self.calls:
            self.calls.append(0)
            raise EngineError("/secret/model.pb: broken")
        return super().infer(images)


def test_an_engine_that_hangs_is_answered_within_the_deadline_and_the_service_goes_on(ask: Ask) -> None:
    engine = _HangsOnce()
    with ask(engine, timeout_seconds=1, batch=1) as client:
        answer = client.post("/request", json=batch(*[jpeg()] * INFO.parallel))
        assert answer.status_code == 504
        assert "1 s" in message(answer)
        for _ in range(4):
            assert client.post("/request", json=batch(jpeg())).status_code == 200
        engine.free.set()


class _HangsOnce(FakeEngine):
    """Every worker's first call hangs."""

    def __init__(self) -> None:
        import threading

        super().__init__()
        self.free = threading.Event()
        self._left = INFO.parallel

    def infer(self, images: np.ndarray) -> Any:
        if self._left:
            self._left -= 1
            self.free.wait(30)
        return super().infer(images)


@pytest.mark.parametrize("path", ["/request", "/v1/detect"])
def test_get_is_405_and_unknown_paths_are_404_as_json(client: Client, path: str) -> None:
    assert client.get(path).status_code == 405
    assert message(client.get(path))
    assert client.post(path + "/more").status_code == 404
    assert message(client.post(path + "/more"))


def test_answers_beyond_their_budget_are_503(client: Client) -> None:
    answers = client.app.state.answers
    free, answers.free = answers.free, 100
    assert client.post("/request", json=batch(jpeg())).status_code == 503
    assert answers.free == 100
    answers.free = free
    assert client.post("/request", json=batch(jpeg())).status_code == 200
    assert answers.free == free
