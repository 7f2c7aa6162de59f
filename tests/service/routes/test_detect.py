"""`POST /v1/detect`: one image as it is, or several as a form."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from humandetect.media.annotate.hiding import FILLING
from humandetect.media.images import decode_image
from tests.fakes import FakeEngine
from tests.service.images import encoded, entry, jpeg, png

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from tests.service.conftest import Client

    Ask = Callable[..., AbstractContextManager[Client]]

JPEG = {"Content-Type": "image/jpeg"}


def post(client: Client, image: bytes, *, query: str = "", **headers: str) -> Any:
    return client.post(f"/v1/detect{query}", content=image, headers=JPEG | headers)


def test_a_raw_image_is_answered_with_its_people_the_model_and_where_the_time_went(client: Client) -> None:
    answer = post(client, jpeg(80, 40, shade=100)).json()
    (result,) = answer["results"]
    assert (result["name"], result["width"], result["height"]) == (None, 80, 40)
    assert result["people"] == [{"box": [0, 10, 40, 30], "score": pytest.approx(0.8, abs=0.01)}]
    model = {"name": "fake", "version": "1", "engine": "fake 1, CPU", "score": 0.5, "track_scores": [0.5, 0.3]}
    assert answer["model"] == model
    timings = answer["timings_ms"]
    assert set(timings) == {"decode", "queue", "infer", "encode", "total"}
    assert 0 < timings["decode"] < timings["total"]


@pytest.mark.parametrize("kind", ["image/jpeg", "image/jpg", "image/png", "application/octet-stream", None])
def test_the_content_decides_the_type(client: Client, kind: str | None) -> None:
    for image in (jpeg(), png()):
        request = client.build_request("POST", "/v1/detect", content=image)
        request.headers.pop("Content-Type", None)
        if kind:
            request.headers["Content-Type"] = kind
        assert client.send(request).status_code == 200


def test_who_forgot_the_type_with_curl_is_told_how_to_say_it(client: Client) -> None:
    answer = client.post("/v1/detect", content=jpeg(), headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 415
    assert "curl: -H 'Content-Type: image/jpeg'" in answer.json()["message"]


def test_accept_image_jpeg_gives_the_annotated_picture(client: Client) -> None:
    answer = post(client, png(320, 240), Accept="image/jpeg")
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert decode_image(answer.content, max_megapixels=1).shape == (240, 320, 3)


PICTURE, JSON = "image/jpeg", "application/json"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("image/jpeg", PICTURE), ("IMAGE/JPEG", PICTURE), ("image/jpg", PICTURE), ("image/*", PICTURE),
        ("image/jpeg, */*;q=0.8", PICTURE), ("image/jpeg,*/*", PICTURE), ("application/json, image/jpeg", PICTURE),
        ("application/json;q=0.5, image/jpeg;q=0.6", PICTURE), ("text/html, image/jpeg ; q=0.1", PICTURE),
        ("", JSON), ("*/*", JSON), ("application/json", JSON), ("image/png", JSON), ("application/*, image/*", JSON),
        ("application/json, image/jpeg;q=0.9", JSON), ("image/jpeg;q=0.5,*/*;q=0.8", JSON), ("image/jpeg;q=0", JSON),
        ("image/*, image/jpeg;q=0", JSON), ("image/jpeg;q=lots", JSON), ("image/jpegs", JSON),
    ],
)  # fmt: skip
def test_accept_says_how_much_the_picture_is_wanted(client: Client, accept: str, kind: str) -> None:
    answer = post(client, jpeg(), Accept=accept)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, kind)


def test_several_images_are_answered_in_json_where_that_is_wanted_too(client: Client) -> None:
    parts = [("image", ("a.jpg", jpeg())), ("image", ("b.jpg", jpeg()))]
    answer = client.post("/v1/detect", files=parts, headers={"Accept": "image/jpeg, application/json;q=0.1"})
    assert len(answer.json()["results"]) == 2


def test_a_form_carries_several_images_and_a_bad_one_costs_only_itself(client: Client) -> None:
    parts = [("image", ("a.jpg", jpeg(80, 40))), ("image", ("b.txt", b"hello")), ("other", ("c.png", png(20, 60)))]
    answer = client.post("/v1/detect", files=parts)
    results = answer.json()["results"]
    assert [(result["name"], result["width"]) for result in results] == [("a.jpg", 80), ("b.txt", None), ("c.png", 20)]
    assert "error" not in results[0]
    assert results[1]["error"]
    assert results[1]["people"] == []


def test_a_form_without_a_good_image_is_400(client: Client) -> None:
    assert client.post("/v1/detect", files=[("image", ("a.jpg", b"?"))]).status_code == 400
    assert client.post("/v1/detect", files=[("image", (None, b"?"))]).status_code == 400


def test_a_form_of_bad_images_is_told_which_of_them_are_bad_and_why(client: Client) -> None:
    parts = [("image", ("a.jpg", b"")), ("image", ("b.jpg", jpeg() + b"\0" * 5_000_000))]
    answer = client.post("/v1/detect", files=parts)
    assert answer.status_code == 400
    first, second = answer.json()["message"].split("; ")
    assert first.startswith("image 1 (a.jpg): ")
    assert second.startswith("image 2 (b.jpg): ")
    assert "limit 5 MB" in second


def test_a_form_of_too_many_images_is_406(client: Client) -> None:
    answer = client.post("/v1/detect", files=[("image", (f"{index}.jpg", jpeg())) for index in range(17)])
    assert answer.status_code == 406
    assert "16" in answer.json()["message"]


def test_several_images_have_no_annotated_picture(client: Client) -> None:
    parts = [("image", ("a.jpg", jpeg())), ("image", ("b.jpg", jpeg()))]
    assert client.post("/v1/detect", files=parts, headers={"Accept": "image/jpeg"}).status_code == 406


@pytest.mark.parametrize("image", [b"", b"GIF89a" + b"\0" * 50, jpeg()[:60]])
def test_a_bad_image_is_400_with_the_reason(client: Client, image: bytes) -> None:
    answer = post(client, image)
    assert answer.status_code == 400
    assert answer.json()["message"]


def test_an_image_longer_than_any_jpeg_is_refused_for_it(client: Client) -> None:
    for size in ((70_000, 10), (10, 70_000)):
        answer = post(client, png(*size), Accept="image/jpeg")
        assert answer.status_code == 400
        assert "65500" in answer.json()["message"]


def test_an_image_over_the_limit_is_413(client: Client) -> None:
    assert post(client, jpeg() + b"\0" * 5_000_000).status_code == 413


def test_an_image_over_the_limit_costs_only_itself_in_a_form(client: Client) -> None:
    parts = [("image", ("a.jpg", jpeg())), ("image", ("b.jpg", jpeg() + b"\0" * 5_000_000))]
    results = client.post("/v1/detect", files=parts).json()["results"]
    assert "error" not in results[0]
    assert "limit 5 MB" in results[1]["error"]


def test_a_broken_form_is_422(client: Client) -> None:
    for kind in ("multipart/form-data", "multipart/form-data; boundary=x"):
        answer = client.post("/v1/detect", content=b"--y\r\nnonsense", headers={"Content-Type": kind})
        assert answer.status_code == 422
        assert answer.json()["message"]


def test_a_form_that_breaks_off_is_422(client: Client) -> None:
    request = client.build_request(
        "POST", "/v1/detect", files=[("image", ("a.jpg", jpeg())), ("image", ("b.jpg", jpeg()))]
    )
    whole = request.read()
    kind = {"Content-Type": request.headers["Content-Type"]}
    for length in (len(whole) // 2, len(whole) - 100):
        answer = client.post("/v1/detect", content=whole[:length], headers=kind)
        assert answer.status_code == 422
        assert "breaks off" in answer.json()["message"]


def test_the_threshold_can_be_asked_for(client: Client) -> None:
    assert len(post(client, jpeg(), query="?score=0.9").json()["results"][0]["people"]) == 0
    assert len(post(client, jpeg(), query="?score=0.2").json()["results"][0]["people"]) == 1
    for wrong in ("2", "-1", "x", "nan", "inf"):
        answer = post(client, jpeg(), query=f"?score={wrong}")
        assert answer.status_code == 422
        assert "score" in answer.json()["message"]


def test_boxes_are_in_upright_pixels(client: Client) -> None:
    from io import BytesIO

    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    lying = BytesIO()
    Image.fromarray(np.zeros((40, 80, 3), np.uint8)).save(lying, "JPEG", exif=exif)
    result = post(client, lying.getvalue()).json()["results"][0]
    assert (result["width"], result["height"]) == (40, 80)
    assert result["people"][0]["box"] == [0, 20, 20, 60]


def test_gray_pictures_are_read(client: Client) -> None:
    gray = encoded(np.full((48, 64), 90, np.uint8), ".jpg")
    assert post(client, gray).status_code == 200
    decoded = cv2.imdecode(np.frombuffer(gray, np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded is not None
    assert decoded.ndim == 2


def test_pictures_larger_than_the_allowance_are_handled_one_after_the_other(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("humandetect.service.inference.USUAL_BYTES", 64 * 48 * 3)
    monkeypatch.setattr("humandetect.service.inference.LARGE_TOGETHER", 64 * 48 * 3 * 2)
    sizes = [(64, 48), (640, 480), (64, 48), (640, 480), (64, 48)]
    with ask() as client:
        parts = [("image", (f"{index}.jpg", jpeg(*size))) for index, size in enumerate(sizes)]
        results = client.post("/v1/detect", files=parts).json()["results"]
    assert [(result["width"], result["height"]) for result in results] == sizes


def grey(content: bytes) -> float:
    """Return the share of a picture that is filled with the colour that hides people."""
    image = decode_image(content, max_megapixels=1)
    return float((np.abs(image.astype(int) - FILLING) < 8).all(axis=2).mean())


def test_people_are_hidden_where_the_request_says_so(client: Client) -> None:
    assert grey(post(client, png(320, 240, shade=200), Accept=PICTURE).content) < 0.05
    assert grey(post(client, png(320, 240, shade=200), query="?anonymize=fill", Accept=PICTURE).content) > 0.15
    assert grey(post(client, png(320, 240, shade=200), query="?anonymize=fill&score=1", Accept=PICTURE).content) > 0.15


def test_an_unknown_way_of_hiding_is_refused(client: Client) -> None:
    answer = post(client, png(), query="?anonymize=none", Accept=PICTURE)
    assert answer.status_code == 422
    assert "pixelate" in answer.text


@pytest.mark.parametrize("query", ["", "?anonymize=blur", "?score=1"])
def test_no_request_shows_whom_the_server_hides(ask: Ask, query: str) -> None:
    with ask(FakeEngine(), anonymize="fill") as client:
        assert grey(post(client, png(320, 240, shade=200), query=query, Accept=PICTURE).content) > 0.15
        body = {"input": [entry(png(320, 240, shade=200))]}
        (out,) = client.post(f"/request{query}", json=body).json()["output"]
        assert grey(base64.b64decode(out["annotated_image"])) > 0.15
