"""The manifests are valid, and what they name is there. No cluster is asked."""

from __future__ import annotations

import base64
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from humandetect.config import ServeConfig
from humandetect.service.routes.request import largest_body
from tests.deploy.files import DEPLOY, load, parse_command, parse_copy_models, serving_flags

KUBERNETES = DEPLOY / "kubernetes"
OLDEST = "1.30"
"""The oldest Kubernetes that the manifests are checked against."""
KUSTOMIZATION = "kustomization.yaml"
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}

Documents = list[dict[str, Any]]


def kubectl() -> str:
    """Find kubectl, which the dev extra brings for Linux on amd64."""
    found = shutil.which("kubectl", path=str(Path(sys.executable).parent)) or shutil.which("kubectl")
    return found or pytest.skip("no kubectl is here to render the manifests")


@pytest.fixture(scope="module", params=["base", "gpu", "production"])
def documents(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Documents:
    """Everything that `kubectl apply -k` would send."""
    folder = shutil.copytree(KUBERNETES, tmp_path_factory.mktemp("manifests") / "kubernetes")
    (folder / "production" / "api-key.txt").write_text("secret")
    command = [kubectl(), "kustomize", str(folder / request.param)]
    rendered = subprocess.run(command, capture_output=True, check=True, text=True)
    assert not rendered.stderr
    return list(yaml.safe_load_all(rendered.stdout))


def of_kind(documents: Documents, kind: str) -> dict[str, dict[str, Any]]:
    return {document["metadata"]["name"]: document for document in documents if document["kind"] == kind}


def pods(documents: Documents) -> dict[str, dict[str, Any]]:
    """Return the pod templates by their deployment's name."""
    return {name: one["spec"]["template"] for name, one in of_kind(documents, "Deployment").items()}


def containers(pod: dict[str, Any]) -> Documents:
    found: Documents = pod["spec"]["containers"] + pod["spec"].get("initContainers", [])
    return found


def port_names(pod: dict[str, Any]) -> set[str]:
    return {port["name"] for container in containers(pod) for port in container.get("ports", [])}


def selected(pods: dict[str, dict[str, Any]], labels: dict[str, str]) -> list[str]:
    """Return the names of the pods that have all the labels."""
    return [name for name, pod in pods.items() if labels.items() <= pod["metadata"]["labels"].items()]


def container(documents: Documents, deployment: str, name: str) -> dict[str, Any]:
    return next(one for one in containers(pods(documents)[deployment]) if one["name"] == name)


@pytest.mark.parametrize("folder", ["base", "gpu", "production"])
def test_every_file_is_listed(folder: str) -> None:
    (kustomization,) = load(KUBERNETES / folder / KUSTOMIZATION)
    configs = [name for config in kustomization.get("configMapGenerator", []) for name in config["files"]]
    patches = [patch["path"] for patch in kustomization.get("patches", [])]
    named = {*kustomization["resources"], *configs, *patches, *kustomization.get("configurations", []), KUSTOMIZATION}
    assert named - {"../base"} == {path.name for path in (KUBERNETES / folder).iterdir()} - {"api-key.txt"}


def test_the_files_themselves_are_valid() -> None:
    """Also where kubectl is not there to render them."""
    for path in (KUBERNETES / "base").glob("*.yaml"):
        if path.name != KUSTOMIZATION:
            for document in load(path):
                kubernetes_validate.validate(document, OLDEST, strict=True)


def test_they_are_valid(documents: Documents) -> None:
    for document in documents:
        if document["kind"] != "PodMonitor":  # the Prometheus operator's, of which no schema is here
            kubernetes_validate.validate(document, OLDEST, strict=True)
        assert document["kind"] == "Namespace" or document["metadata"]["namespace"] == "humandetect"


def test_selectors_match_exactly_one_kind_of_pod(documents: Documents) -> None:
    templates = pods(documents)
    for name, deployment in of_kind(documents, "Deployment").items():
        assert selected(templates, deployment["spec"]["selector"]["matchLabels"]) == [name]
        (spread,) = templates[name]["spec"]["topologySpreadConstraints"]
        assert selected(templates, spread["labelSelector"]["matchLabels"]) == [name]
    for name, budget in of_kind(documents, "PodDisruptionBudget").items():
        assert selected(templates, budget["spec"]["selector"]["matchLabels"]) == [name]
    for name, service in of_kind(documents, "Service").items():
        assert selected(templates, service["spec"]["selector"]) == [name]
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= port_names(templates[name])


def test_policies_name_pods_and_ports_that_there_are(documents: Documents) -> None:
    templates = pods(documents)
    policies = of_kind(documents, "NetworkPolicy")
    assert policies.pop("nothing-else")["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name, policy in policies.items():
        assert selected(templates, policy["spec"]["podSelector"]["matchLabels"]) == [name]
        for rule in policy["spec"].get("ingress", []):
            assert {port["port"] for port in rule["ports"]} <= port_names(templates[name])
    (rule, _names) = policies["serve"]["spec"]["egress"]
    (peer,) = rule["to"]
    (server,) = selected(templates, peer["podSelector"]["matchLabels"])
    assert {port["port"] for port in rule["ports"]} <= port_names(templates[server])


def test_every_deployment_is_counted_by_an_autoscaler_or_by_itself(documents: Documents) -> None:
    scalers = of_kind(documents, "HorizontalPodAutoscaler")
    for name, deployment in of_kind(documents, "Deployment").items():
        assert (name in scalers) != ("replicas" in deployment["spec"])
    assert "serve" in scalers


def test_the_autoscaler_counts_what_asks_for_cpu(documents: Documents) -> None:
    deployments = of_kind(documents, "Deployment")
    for scaler in of_kind(documents, "HorizontalPodAutoscaler").values():
        name = scaler["spec"]["scaleTargetRef"]["name"]
        assert "replicas" not in deployments[name]["spec"]  # each `kubectl apply` would undo its work
        assert all("cpu" in one["resources"]["requests"] for one in containers(pods(documents)[name]))


def test_gpus_take_the_place_of_the_autoscaler(documents: Documents) -> None:
    server = container(documents, "tensorflow-serving", "tensorflow-serving")
    with_gpu = server["image"].endswith("-gpu")
    assert with_gpu == ("nvidia.com/gpu" in server["resources"]["limits"])
    assert with_gpu == ("tensorflow-serving" not in of_kind(documents, "HorizontalPodAutoscaler"))
    assert with_gpu == ("replicas" in of_kind(documents, "Deployment")["tensorflow-serving"]["spec"])


def test_volumes_and_configs_are_there(documents: Documents) -> None:
    configs = of_kind(documents, "ConfigMap")
    for pod in pods(documents).values():
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        mounted = {mount["name"] for one in containers(pod) for mount in one["volumeMounts"]}
        assert mounted == set(volumes)
        assert {volume["configMap"]["name"] for volume in volumes.values() if "configMap" in volume} <= set(configs)
        for variable in (variable for one in containers(pod) for variable in one.get("env", [])):
            if "value" not in variable:
                secret = variable["valueFrom"]["secretKeyRef"]
                assert secret["optional"] != (secret["name"] in of_kind(documents, "Secret"))


def test_what_faces_the_world_asks_for_the_key_and_speaks_tls(documents: Documents) -> None:
    ingresses = of_kind(documents, "Ingress")
    if not ingresses:
        return
    (secret,) = of_kind(documents, "Secret").values()
    assert base64.b64decode(secret["data"]["key"]) == b"secret"
    (rule,) = ingresses["serve"]["spec"]["rules"]
    (tls,) = ingresses["serve"]["spec"]["tls"]
    assert tls["hosts"] == [rule["host"]]
    (path,) = rule["http"]["paths"]
    target = path["backend"]["service"]
    assert target["port"]["name"] in [port["name"] for port in of_kind(documents, "Service")["serve"]["spec"]["ports"]]
    (size,) = (value for name, value in ingresses["serve"]["metadata"]["annotations"].items() if "body-size" in name)
    assert int(size.removesuffix("m")) * 2**20 >= largest_body(ServeConfig())


def test_prometheus_scrapes_pods_that_there_are_with_the_key_where_it_is_asked_for(documents: Documents) -> None:
    templates = pods(documents)
    for name, monitor in of_kind(documents, "PodMonitor").items():
        assert selected(templates, monitor["spec"]["selector"]["matchLabels"]) == [name]
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        assert endpoint["port"] in port_names(templates[name])
        if name == "serve":
            assert endpoint["authorization"]["credentials"]["name"] in of_kind(documents, "Secret")
        else:
            assert endpoint["path"] in (DEPLOY / "monitoring.txt").read_text()


def test_nothing_can_be_root_or_write(documents: Documents) -> None:
    for pod in pods(documents).values():
        security = pod["spec"]["securityContext"]
        assert (security["runAsNonRoot"], security["seccompProfile"]) == (True, {"type": "RuntimeDefault"})
        assert pod["spec"]["automountServiceAccountToken"] is False
        for one in containers(pod):
            assert one["securityContext"] == RESTRICTED
            assert set(one["resources"]["requests"]) == {"cpu", "memory"}
            assert "memory" in one["resources"]["limits"]


def test_probes_ask_ports_that_there_are(documents: Documents) -> None:
    for pod in pods(documents).values():
        (one,) = pod["spec"]["containers"]
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = one[kind]
            assert probe.get("httpGet", probe.get("tcpSocket"))["port"] in port_names(pod)


def test_tensorflow_serving_finds_its_files(documents: Documents) -> None:
    server = container(documents, "tensorflow-serving", "tensorflow-serving")
    flags = serving_flags(server["args"])
    mounts = {mount["mountPath"]: mount["name"] for mount in server["volumeMounts"]}
    (config,) = of_kind(documents, "ConfigMap").values()
    files = {Path(value) for flag, value in flags.items() if flag.endswith("_file")}
    assert {str(file.parent) for file in files} == {"/etc/serving"} <= set(mounts)
    assert {file.name for file in files} == set(config["data"])
    ports = {port["name"]: str(port["containerPort"]) for port in server["ports"]}
    assert ports == {"grpc": flags["port"], "rest": flags["rest_api_port"]}


def test_the_model_is_copied_where_tensorflow_serving_reads_it(documents: Documents) -> None:
    copier = container(documents, "tensorflow-serving", "models")
    server = container(documents, "tensorflow-serving", "tensorflow-serving")
    folder, *options = copier["args"]
    written = {mount["mountPath"]: mount["name"] for mount in copier["volumeMounts"]}
    read = {mount["mountPath"]: mount["name"] for mount in server["volumeMounts"]}
    assert written[folder] == read["/models"]
    assert str(Path(parse_copy_models(options)["batching_parameters"]).parent) in written


def test_serve_asks_every_pod_by_the_headless_service(documents: Documents) -> None:
    options = parse_command(container(documents, "serve", "serve")["args"])
    service = of_kind(documents, "Service")["tensorflow-serving"]
    (port,) = (port["port"] for port in service["spec"]["ports"] if port["name"] == "grpc")
    assert service["spec"]["clusterIP"] == "None"
    assert options["serving"] == [f"dns:///{service['metadata']['name']}:{port}"]
    assert (options["engine"], options["host"]) == ("tf-serving", "0.0.0.0")


def test_images_have_versions_and_one_user(documents: Documents) -> None:
    for pod in pods(documents).values():
        assert pod["spec"]["securityContext"]["runAsUser"] == 10001
        for one in containers(pod):
            assert one["image"].split(":")[1][0].isdigit()
