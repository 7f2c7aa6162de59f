"""The list of models is replaced while the server runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import model_management_pb2

from tests.model_server import served_models as models
from tests.model_server.started import Client, config_text, predict_request, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CODE = grpc.StatusCode


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for number in (1, 2):
        models.half_plus(folder / "half" / str(number), number)
    models.echo(folder / "echo" / "5")
    (folder / "broken" / "1").mkdir(parents=True)
    (folder / "models.config").write_text(config_text({"half": folder / "half"}))
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Client]:
    with serving(folder / "models.config", poll_seconds=60) as client:
        yield client


@pytest.fixture
def client(server: Client, folder: Path) -> Client:
    """The server as it started, whatever other tests did to it."""
    reload(server, config_text({"half": folder / "half"}))
    return server


def reload(client: Client, text: str) -> Any:
    request = model_management_pb2.ReloadConfigRequest()
    text_format.Parse(text, request.config)
    return client.model.HandleReloadConfigRequest(request, timeout=20)


def refusal(client: Client, text: str) -> tuple[Any, str]:
    with pytest.raises(grpc.RpcError) as caught:
        reload(client, text)
    error: Any = caught.value
    return error.code(), error.details()


def test_new_models_answer_once_the_call_returns_and_others_end(client: Client, folder: Path) -> None:
    response = reload(client, config_text({"echo": folder / "echo"}))
    assert response.HasField("status")
    assert response.status.error_code == 0
    assert client.states("echo") == {5: "AVAILABLE"}
    assert set(client.states("half").values()) == {"END"}
    with pytest.raises(grpc.RpcError, match="Servable not found for request: Latest"):
        client.ask("half", x=[1.0])


def test_policies_and_labels_change(client: Client, folder: Path) -> None:
    more = 'model_version_policy { all {} } version_labels { key: "stable" value: 1 }'
    reload(client, config_text({"half": folder / "half"}, half=more))
    request = predict_request("half", x=[0.0])
    request.model_spec.version_label = "stable"
    assert client.prediction.Predict(request, timeout=20).outputs["y"].float_val[0] == 1
    reload(client, config_text({"half": folder / "half"}))
    with pytest.raises(grpc.RpcError, match="Unrecognized servable version label: stable"):
        client.prediction.Predict(request, timeout=20)


def entry(name: str, rest: str) -> str:
    return f'config {{ name: "{name}" {rest} }}'


@pytest.mark.parametrize(
    ("text", "code", "reason"),
    [
        ("", CODE.INVALID_ARGUMENT, "ServerModelConfig type not supported by HandleReloadConfigRequest"),
        (entry("m", 'base_path: "m" model_platform: "tensorflow"'), CODE.INVALID_ARGUMENT, "to have an absolute path"),
        (entry("m", 'base_path: "/m"'), CODE.INVALID_ARGUMENT, "Illegal setting neither"),
        (entry("m", 'base_path: "/m" model_platform: "caffe"'), CODE.INVALID_ARGUMENT, "unsupported platform caffe"),
        (2 * entry("m", 'base_path: "/m" model_platform: "tensorflow"'), CODE.INVALID_ARGUMENT, "multiple times"),
        (entry("m", 'base_path: "/m" model_platform: "tensorflow"'), CODE.NOT_FOUND, "base_path /m does not exist"),
        (
            entry("h", 'base_path: "FOLDER/half" model_platform: "tensorflow" version_labels { key: "s" value: 1 }'),
            CODE.FAILED_PRECONDITION, "Request to assign label to version 1 of model h, which is not currently avail",
        ),
        (
            entry("h", 'base_path: "FOLDER/half" model_platform: "tensorflow"')
            + entry("b", 'base_path: "FOLDER/broken" model_platform: "tensorflow"'),
            CODE.NOT_FOUND, "model b: no version can be served",
        ),
    ],
)  # fmt: skip
def test_a_list_that_cannot_be_served_changes_nothing(
    client: Client, folder: Path, text: str, code: Any, reason: str
) -> None:
    text = f"model_config_list {{ {text} }}".replace("FOLDER", str(folder)) if text else ""
    got, words = refusal(client, text)
    assert (got, reason in words) == (code, True), words
    assert client.predict("half", x=[0.0])["y"] == [2.0]
    with pytest.raises(grpc.RpcError, match="Servable not found"):
        client.ask("h", x=[0.0])


@pytest.mark.parametrize("name", ["", "PredictionService", "tensorflow.serving.ModelService"])
def test_health_checks_are_answered(client: Client, name: str) -> None:
    check = client.channel.unary_unary("/grpc.health.v1.Health/Check")
    request = b"\x0a" + bytes([len(name)]) + name.encode() if name else b""
    assert check(request, timeout=20) == b"\x08\x01"


def test_health_of_the_unknown_is_not_found(client: Client) -> None:
    check = client.channel.unary_unary("/grpc.health.v1.Health/Check")
    with pytest.raises(grpc.RpcError, match="unknown service x"):
        check(b"\x0a\x01x", timeout=20)
    with pytest.raises(grpc.RpcError, match="is not a grpc"):
        check(b"\xff", timeout=20)
