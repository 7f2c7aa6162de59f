"""What TensorFlow Serving's REST clients get, and Prometheus."""

from __future__ import annotations

import base64
import json
import socket
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.model_server import served_models as models
from tests.model_server.started import Client, config_text, serving

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("models")
    models.half_plus(folder / "half" / "3", 2)
    models.echo(folder / "echo" / "1")
    models.weighted(folder / "weighted" / "1")
    served = {name: folder / name for name in ("half", "echo", "weighted")}
    (folder / "models.config").write_text(config_text(served, half='version_labels { key: "stable" value: 3 }'))
    with serving(folder / "models.config", rest_port=0) as client:
        yield client


@pytest.fixture(scope="module")
def rest(server: Client) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{server.rest}", timeout=20) as client:
        yield client


def predict(rest: httpx.Client, model: str = "half", **body: Any) -> Any:
    response = rest.post(f"/v1/models/{model}:predict", json=body)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    return response.json()


def test_rows_become_predictions_and_columns_outputs(rest: httpx.Client) -> None:
    assert predict(rest, instances=[1.0, 2.0, 5.0]) == {"predictions": [2.5, 3.0, 4.5]}
    assert predict(rest, instances=[{"x": 1.0}, {"x": 2}]) == {"predictions": [2.5, 3.0]}
    assert predict(rest, inputs=[[1.0], [2.0]]) == {"outputs": [[2.5], [3.0]]}
    assert predict(rest, inputs={"x": 4}, signature_name="again") == {"outputs": 4.0}


def test_several_inputs_and_outputs_have_names(rest: httpx.Client) -> None:
    row = {"x": [1, 1, 1, 1], "scale": [2]}
    assert predict(rest, "weighted", instances=[row, row]) == {"predictions": [{"product": [8, 8], "sum": 4}] * 2}
    columns = {"x": [row["x"]], "scale": [row["scale"]]}
    assert predict(rest, "weighted", inputs=columns) == {"outputs": {"product": [[8, 8]], "sum": [4]}}


def test_numbers_are_as_short_as_their_type_allows(rest: httpx.Client) -> None:
    assert predict(rest, "echo", inputs=[0.1], signature_name="float32") == {"outputs": [0.1]}
    assert predict(rest, "echo", inputs=[0.1], signature_name="float16") == {"outputs": [0.099975586]}


@pytest.mark.parametrize(
    ("kind", "values"),
    [("uint8", [0, 255]), ("int64", [-(2**40)]), ("bool", [True, False]), ("float64", [0.1]), ("int32", [[1], [2]])],
)
def test_types_are_those_of_the_signature(rest: httpx.Client, kind: str, values: Any) -> None:
    assert predict(rest, "echo", inputs=values, signature_name=kind) == {"outputs": values}


def test_bytes_travel_as_base64(rest: httpx.Client) -> None:
    encoded = base64.b64encode("päivää\0".encode()).decode()
    assert predict(rest, "echo", inputs=[{"b64": encoded}, "plain"], signature_name="string") == {
        "outputs": ["päivää\0", "plain"]
    }
    assert predict(rest, "echo", instances=[{"b64": encoded}], signature_name="string") == {"predictions": ["päivää\0"]}
    assert predict(rest, "echo", inputs={"x": [{"b64": "/////w=="}]}, signature_name="bytes") == {
        "outputs": [{"b64": "/////w=="}]
    }


def test_versions_and_labels_stand_in_the_path_in_any_letter_case(rest: httpx.Client) -> None:
    for path in ("/v1/models/half/versions/3:predict", "/V1/MODELS/half/labels/stable:Predict"):
        response = rest.post(path, json={"instances": [0]})
        assert response.json() == {"predictions": [2.0]}, path


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("/v1/models/none:predict", {"instances": [1]}, 404, "Servable not found for request: Latest(none)"),
        ("/v1/models/half/versions/9:predict", {"instances": [1]}, 404, "request: Specific(half, 9)"),
        ("/v1/models/half/labels/x:predict", {"instances": [1]}, 400, "Unrecognized servable version label: x"),
        (
            "/v1/models/half:predict", {"instances": [1], "signature_name": "s"}, 400,
            'Serving signature name: "s" not found in signature def',
        ),
        ("/v1/models/half:predict", {"instances": [1], "signature_name": 1}, 400, "must be a string"),
        ("/v1/models/half:predict", "{", 400, "JSON Parse error"),
        ("/v1/models/half:predict", {}, 400, "either 'instances' or 'inputs'"),
        ("/v1/models/half:predict", {"instances": []}, 400, "at least one element"),
        ("/v1/models/half:predict", {"instances": ["a"]}, 400, "x: JSON values are not of expected type: float32"),
        ("/v1/models/half:predict", {"instances": [[1], [1, 2]]}, 400, "differ in length"),
        ("/v1/models/half:predict", {"instances": [{"z": 1}]}, 400, "unknown input 'z', expected x"),
        ("/v1/models/half:predict", {"instances": [{"x": 1}, {"z": 1}]}, 400, "must have the same inputs"),
        ("/v1/models/weighted:predict", {"instances": [1]}, 400, "the inputs need their names"),
        ("/v1/models/weighted:predict", {"inputs": {"x": [[1, 1, 1, 1]]}}, 400, "Missing but required: {scale}"),
        ("/v1/models/weighted:predict", {"inputs": {"x": [[1]], "scale": [[1]]}}, 400, "Matrix size-incompatible"),
        ("/v1/models/echo:predict", {"inputs": [300], "signature_name": "uint8"}, 400, "out of range for uint8"),
        ("/v1/models/echo:predict", {"inputs": [1.5], "signature_name": "int32"}, 400, "expected type: int32"),
        ("/v1/models/echo:predict", {"inputs": [1], "signature_name": "string"}, 400, "expected type: string"),
        ("/v1/models/echo:predict", {"inputs": [{"b64": "%"}], "signature_name": "string"}, 400, "base64"),
        ("/v1/models/echo:predict", {"inputs": [["a"], []], "signature_name": "string"}, 400, "differ in length"),
        ("/v1/models/echo:predict", {"instances": 1}, 400, "must be a list"),
        ("/v1/models/half:classify", {"examples": []}, 501, "classify is not offered by this server"),
        ("/v1/models/half:guess", {}, 400, "Malformed request: POST /v1/models/half:guess"),
        ("/v1/models/half", {}, 400, "Malformed request: POST /v1/models/half"),
        ("/elsewhere", {}, 404, "Not found: /elsewhere"),
    ],
)  # fmt: skip
def test_refusals_have_a_code_and_a_text(rest: httpx.Client, path: str, body: Any, status: int, text: str) -> None:
    response = rest.post(path, content=body if isinstance(body, str) else json.dumps(body))
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error"}
    assert text in response.json()["error"]


def test_status_is_the_protocol_s_message_in_json(rest: httpx.Client) -> None:
    expected = {"version": "3", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    for path in ("/v1/models/half", "/v1/models/half/versions/3", "/v1/models/half/labels/stable"):
        assert rest.get(path).json() == {"model_version_status": [expected]}
    missing = rest.get("/v1/models/half/versions/9")
    assert (missing.status_code, missing.json()) == (404, {"error": "Could not find version 9 of model half"})


def test_metadata_holds_the_signatures(rest: httpx.Client) -> None:
    content = rest.get("/v1/models/half/metadata").json()
    assert content["model_spec"]["name"] == "half"
    assert content["model_spec"]["version"] == "3"
    signature = content["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["inputs"]["x"]["dtype"] == "DT_FLOAT"
    assert signature["method_name"] == "tensorflow/serving/predict"


def test_a_get_of_what_is_posted_is_malformed(rest: httpx.Client) -> None:
    assert rest.get("/v1/models/half:predict").json() == {"error": "Malformed request: GET /v1/models/half:predict"}
    assert rest.delete("/v1/models/half").status_code == 400


def test_a_client_that_leaves_in_the_middle_harms_nobody(rest: httpx.Client, server: Client) -> None:
    host, _, port = (server.rest or "").rpartition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"POST /v1/models/half:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    assert predict(rest, instances=[1.0]) == {"predictions": [2.5]}


def test_prometheus_finds_counters_and_histograms_under_the_usual_names(rest: httpx.Client, server: Client) -> None:
    def requests(status: str) -> float:
        label = f'model_name="half",status="{status}"'
        lines = rest.get("/monitoring/prometheus/metrics").text.splitlines()
        name = f":tensorflow:serving:request_count{{{label}}} "
        return next((float(line.removeprefix(name)) for line in lines if line.startswith(name)), 0)

    before = requests("OK"), requests("INVALID_ARGUMENT")
    predict(rest, instances=[1])
    server.predict("half", x=np.ones(3))
    rest.post("/v1/models/half:predict", json={"instances": ["a"]})
    rest.post("/v1/models/unknown:predict", json={"instances": ["a"]})
    assert (requests("OK") - before[0], requests("INVALID_ARGUMENT") - before[1]) == (2, 1)
    text = rest.get("/monitoring/prometheus/metrics").text
    assert "unknown" not in text
    assert "# TYPE :tensorflow:serving:request_count counter" in text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    for name, label in (("request_latency", "entrypoint"), ("runtime_latency", "runtime")):
        family = families[f":tensorflow:serving:{name}"]
        assert family.type == "histogram"
        assert label in family.samples[0].labels
        assert len({sample.labels["le"] for sample in family.samples if "le" in sample.labels}) == 34
