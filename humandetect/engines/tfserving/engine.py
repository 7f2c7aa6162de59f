"""Engine "tf-serving": a model behind one or more TensorFlow Servings, over gRPC and without TensorFlow here."""

from __future__ import annotations

import logging
import re
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from humandetect.engines.base import ModelInfo
from humandetect.engines.detection_api import check_images, warm_up, with_people
from humandetect.engines.tfserving.embedded import check_options, start_embedded
from humandetect.engines.tfserving.failures import CallFailed, explained
from humandetect.engines.tfserving.messages import (
    METADATA,
    PREDICT,
    STATUS,
    metadata_request,
    model_spec,
    read_metadata,
    read_statuses,
    status_request,
)
from humandetect.engines.tfserving.request_plan import keep_request_memory, make_plan
from humandetect.engines.tfserving.servers import Servers
from humandetect.errors import EngineError, EngineUnavailable, ModelError, ModelNotFound, UsageError
from humandetect.models.config_file import is_model_name
from humandetect.models.find import find_model, list_models
from humandetect.models.metadata import ModelMetadata
from humandetect.models.sizes import choose_size
from humandetect.protos.serving_pb2 import ModelVersionStatus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from humandetect.config import EngineConfig
    from humandetect.engines.base import RawDetections
    from humandetect.engines.tfserving.embedded import EmbeddedServer
    from humandetect.engines.tfserving.request_plan import RequestPlan
    from humandetect.errors import HumanDetectError
    from humandetect.models.sizes import InputSize, Preset

    Outputs = dict[str, NDArray[Any]]

logger = logging.getLogger(__name__)

BEST_BATCH = 2
"""With two requests at once as fast as any other on two cores shared with the server, and each image more in flight
holds a frame here. Servers with a GPU gain from larger ones: --batch."""
STATES = {0: "unknown", 10: "starting", 20: "loading", 30: "available", 40: "unloading", 50: "ended"}
"""ModelVersionStatus.State in words."""
_STALE = ("INVALID_ARGUMENT", "FAILED_PRECONDITION", "NOT_FOUND")
"""What a server answers when another version has another signature, and when it has gone."""
_TOO_MANY = re.compile(r"larger than maximum input batch size (\d+)")


class TFServingEngine:
    """Asks the servers of a config for the detections of a model, several requests at once."""

    def __init__(self, config: EngineConfig) -> None:
        check_options(config)
        self._models_dir = config.models_dir
        self._wanted_size = config.size
        name, known, self._path = _known(config)
        self._metadata = replace(known, person_class=config.person_class)
        self._embedded: EmbeddedServer | None = None
        """A server for this engine alone; it ends with the engine."""
        self._serving = config.serving
        if not config.serving.targets:
            self._embedded, self._serving = start_embedded(config)
        targets = self._serving.targets
        self._spec = model_spec(name, version=self._serving.version, label=self._serving.label)
        self._where = "embedded server" if self._embedded else ", ".join(targets)
        self._model = f"{name} at {', '.join(targets)}"
        self._at_once = self._serving.parallel * len(targets)
        self._lock = threading.Lock()
        self._most: int | None = None
        """Images that the servers' batching takes from one request, once they said so."""
        self._servers = Servers(self._serving, (STATUS, status_request(self._spec), self._not_ready))
        self._threads = ThreadPoolExecutor(self._at_once, thread_name_prefix="serving")
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        keep_request_memory()
        self._servers.wait_until_ready()
        try:
            self._plan, version = self._discover()
        except CallFailed as failure:
            raise self._explain_start(failure) from failure
        self._plans = {version: self._plan}
        size, preset = self._size(self._plan)
        self.info = ModelInfo(
            self._spec.name, _text(version), f"tf-serving, {self._where}", size, parallel=self._at_once,
            best_batch=self._plan.batch or BEST_BATCH, preset=preset,
            metadata=with_people(self._metadata, model=self._spec.name, path=self._path),
        )  # fmt: skip
        warm_up(self, self._model)

    def infer(self, images: NDArray[np.uint8]) -> RawDetections:
        """Find objects in (B, H, W, 3) RGB images. Thread-safe; blocks."""
        with self._servers.in_use():
            check_images(images, self.info.size)
            try:
                return self._infer(images)
            except CallFailed as failure:
                sent = f"{len(images)} images {images.shape[1:]} {images.dtype}"
                raise explained(failure, sent=sent, timeout_seconds=self._serving.timeout_seconds) from failure

    def close(self) -> None:
        """Close the connections once running calls have ended; may be called twice."""
        self._servers.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._embedded is not None:
            self._embedded.close()

    def _infer(self, images: NDArray[np.uint8]) -> RawDetections:
        plan = self._plan
        try:
            return self._ask(plan, images)
        except CallFailed as failure:
            if not self._learn(failure, plan, len(images)):
                raise
        return self._ask(self._plan, images)

    def _learn(self, failure: CallFailed, plan: RequestPlan, count: int) -> bool:
        """Find out from a refusal how to ask instead; False where there is no other way."""
        too_many = _TOO_MANY.search(failure.details)
        if too_many and 0 < int(too_many[1]) < (self._most or count):
            self._most = int(too_many[1])
            return True
        if failure.code not in _STALE:
            return False
        with self._lock:
            if self._plan == plan:
                self._adopt(*self._discover())
            return self._plan != plan

    def _ask(self, plan: RequestPlan, images: NDArray[np.uint8]) -> RawDetections:
        answers: list[Outputs] = []
        for response in self._responses(self._requests(plan, images)):
            outputs, version = plan.read(response)
            answers.append(outputs)
            if version is not None and str(version) != self.info.version:
                self._notice(version)
        return plan.detections(answers, len(images))

    def _requests(self, plan: RequestPlan, images: NDArray[np.uint8]) -> Iterator[bytes]:
        size = len(images) if plan.batch or self._most is None else self._most
        for start in range(0, len(images), size):
            yield from plan.requests(self._spec, images[start : start + size])

    def _responses(self, requests: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the answers in order; one request needs no thread, more of them travel together."""
        first, second = next(requests), next(requests, None)
        if second is None:
            yield self._servers.call(PREDICT, first)
            return
        under_way: deque[Future[bytes]] = deque()
        for request in chain([first, second], requests):
            under_way.append(self._threads.submit(self._servers.call, PREDICT, request))
            if len(under_way) >= self._at_once:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()

    def _discover(self) -> tuple[RequestPlan, int | None]:
        """Ask for the signatures; return how to ask the model, and the version that this is true of."""
        try:
            signatures, version = read_metadata(self._servers.call(METADATA, metadata_request(self._spec)))
        except DecodeError as error:
            raise EngineError(
                f"{self._model}: its signatures cannot be read ({error}); is this TensorFlow Serving?"
            ) from error
        return make_plan(self._model, signatures, self._serving.signature), version

    def _notice(self, version: int) -> None:
        """Follow a server to another version, whose signature may differ."""
        with self._lock:
            if version in self._plans:
                self._adopt(self._plans[version], version)
                return
            try:
                plan, found = self._discover()
            except (CallFailed, EngineUnavailable) as error:  # the picture is answered; the next one will ask again
                logger.info("%s: version %s came, its signature did not: %s", self._model, version, error)
                return
            logger.warning("%s is now answered by version %s", self._model, version)
            self._plans[version] = plan
            self._adopt(plan, found)

    def _adopt(self, plan: RequestPlan, version: int | None) -> None:
        """Ask in this way from now on; raise ModelError where pictures would have to be prepared differently."""
        if self._size(plan)[0] != self.info.size:
            raise ModelError(
                f"{self._model}: version {version} takes pictures of another size than version {self.info.version}, "
                "which was served when this run began; start again"
            )
        self._plan = plan
        self._plans[version] = plan
        self.info = replace(self.info, version=_text(version))

    def _size(self, plan: RequestPlan) -> tuple[InputSize | None, Preset]:
        """Choose the size of pictures; a model that decodes pictures itself gets them whole."""
        if plan.encoded and self._wanted_size != "default":
            raise UsageError(f"{self._model} decodes pictures itself and gets them whole: leave out --size")
        if plan.encoded:
            return None, self._metadata.preset
        return choose_size(self._model, self._metadata, self._wanted_size, fixed_hw=plan.sides)

    def _not_ready(self, response: bytes) -> str | None:
        """Say why a GetModelStatus answer means that the model cannot be used yet."""
        try:
            statuses = read_statuses(response)
        except DecodeError as error:
            return f"its answer is not TensorFlow Serving's ({error}); check host and port"
        wanted = [one for one in statuses if self._serving.version in (None, one.version)]
        if any(one.state == ModelVersionStatus.AVAILABLE for one in wanted):
            return None
        return f"no version of {self._spec.name!r} can be used: {_told(wanted)}"

    def _explain_start(self, failure: CallFailed) -> HumanDetectError:
        """Say what the servers have instead of what was asked for."""
        spec, serving = self._spec, self._serving
        if failure.code == "INVALID_ARGUMENT" and "version label" in failure.details:
            return ModelNotFound(
                f"{failure.target} knows no label {serving.label!r} of {spec.name!r}; it serves "
                f"{_told(self._statuses(spec.name))}. Labels are set by version_labels in its models.config."
            )
        if failure.code != "NOT_FOUND":
            return explained(failure, sent="the first request", timeout_seconds=serving.timeout_seconds)
        versions = self._statuses(spec.name)
        if versions:
            asked = f"no version {serving.version}" if serving.version is not None else "no usable version"
            return ModelNotFound(f"{failure.target} has {asked} of {spec.name!r}; it has {_told(versions)}")
        known = [model.name for model in list_models(self._models_dir) if model.name != spec.name]
        served = ", ".join(name for name in known if self._statuses(name))
        others = f"of the models known here it serves {served}" if served else "nor any other model known here"
        return ModelNotFound(
            f"{failure.target} serves no model {spec.name!r}, {others}; choose with --serving-model, "
            "or add it to the server's models.config"
        )

    def _statuses(self, name: str) -> list[ModelVersionStatus]:
        """Return the versions of a model on the servers; none where there is no such model, or no answer."""
        try:
            return read_statuses(self._servers.call(STATUS, status_request(model_spec(name))))
        except (CallFailed, EngineError, DecodeError):
            return []


def _known(config: EngineConfig) -> tuple[str, ModelMetadata, Path | None]:
    """Return the model's name on the servers, and what is known of it here, and where it lies."""
    wanted = config.serving.model
    if not is_model_name(config.model):
        found = find_model(config.model, config.models_dir)
        return wanted or found.name, found.metadata, found.path
    name = wanted or config.model
    try:
        found = find_model(name, config.models_dir)
    except (ModelNotFound, ModelError) as error:
        logger.debug("nothing is known here of the model %s: %s", name, error)
        return name, ModelMetadata(), None
    return name, found.metadata, found.path


def _told(versions: list[ModelVersionStatus]) -> str:
    return ", ".join(
        f"version {one.version} ({STATES.get(one.state, one.state)}{_because(one)})"
        for one in sorted(versions, key=lambda one: one.version)
    ) or "none"  # fmt: skip


def _because(status: ModelVersionStatus) -> str:
    return f": {status.status.error_message}" if status.status.error_message else ""


def _text(version: int | None) -> str:
    return "" if version is None else str(version)
