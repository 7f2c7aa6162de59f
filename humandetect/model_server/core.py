"""What is asked of the server, whatever the transport: gRPC and REST are two ways of calling it."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Literal

from humandetect.model_server import serving_metrics as names
from humandetect.model_server.predict import Deadline, metadata, predict
from humandetect.model_server.served_models import settings_of
from humandetect.model_server.status import ServingError, invalid
from humandetect.protos.serving_pb2 import GetModelStatusResponse, ReloadConfigResponse, StatusProto

if TYPE_CHECKING:
    from collections.abc import Callable

    from humandetect.model_server.registry import Registry
    from humandetect.model_server.servable import Servable
    from humandetect.model_server.serving_metrics import ServingMetrics
    from humandetect.protos.serving_pb2 import (
        GetModelMetadataRequest,
        GetModelMetadataResponse,
        GetModelStatusRequest,
        PredictRequest,
        PredictResponse,
        ReloadConfigRequest,
    )

logger = logging.getLogger(__name__)

Entrypoint = Literal["GRPC", "REST"]


class Core:
    """Answers the protocol's requests with the protocol's responses; raises ServingError. Thread-safe."""

    def __init__(self, registry: Registry, metrics: ServingMetrics) -> None:
        self.registry, self.metrics = registry, metrics

    def predict(
        self,
        request: PredictRequest,
        deadline: Deadline,
        *,
        as_content: bool,
        entrypoint: Entrypoint,
        complete: Callable[[Servable], None] | None = None,
    ) -> PredictResponse:
        """Answer a PredictRequest, which `complete` may fill in once it is known what answers."""
        begun = time.monotonic()
        _require_spec(request)
        model = request.model_spec.name
        try:
            deadline.remaining()
            with self.registry.lease(request.model_spec) as (servable, version):
                if complete is not None:
                    complete(servable)
                response = predict(servable, request, version=version, deadline=deadline, as_content=as_content)
        except ServingError as error:
            if self.registry.knows(model):  # or anybody could fill the memory with names
                self.metrics.count(names.REQUESTS, model_name=model, status=error.code.name)
            raise
        elapsed = (time.monotonic() - begun) * 1e6
        self.metrics.count(names.REQUESTS, model_name=model, status="OK")
        self.metrics.observe(names.REQUEST_LATENCY, elapsed, model_name=model, API="Predict", entrypoint=entrypoint)
        return response

    def metadata(self, request: GetModelMetadataRequest) -> GetModelMetadataResponse:
        _require_spec(request)
        with self.registry.lease(request.model_spec) as (servable, version):
            return metadata(servable, request, version=version)

    def status(self, request: GetModelStatusRequest) -> GetModelStatusResponse:
        _require_spec(request)
        response = GetModelStatusResponse()
        for version in self.registry.status(request.model_spec):
            code, text = (version.failure.code.name, version.failure.message) if version.failure else ("OK", "")
            status = StatusProto(error_code=code, error_message=text)
            response.model_version_status.add(version=version.number, state=int(version.state), status=status)
        return response

    def reload(self, request: ReloadConfigRequest) -> ReloadConfigResponse:
        """Replace the list of models; returns when the new ones answer."""
        self.registry.apply(settings_of(request.config))
        logger.info("the list of models was replaced")
        return ReloadConfigResponse(status={})


def _require_spec(request: PredictRequest | GetModelMetadataRequest | GetModelStatusRequest) -> None:
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
