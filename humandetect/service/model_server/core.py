"""What is asked of the server, whatever the transport: gRPC and REST are two ways of calling it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2

from humandetect.service.model_server.predict import Deadline, metadata, predict
from humandetect.service.model_server.settings import settings_of
from humandetect.service.model_server.status import invalid

if TYPE_CHECKING:
    from humandetect.service.model_server.registry import Registry

logger = logging.getLogger(__name__)


class Core:
    """Answers the protocol's requests with the protocol's responses; raises ServingError. Thread-safe."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def predict(self, request: Any, deadline: Deadline, *, as_content: bool) -> Any:
        _require_spec(request)
        deadline.remaining()
        with self.registry.lease(request.model_spec) as (servable, version):
            return predict(servable, request, version=version, deadline=deadline, as_content=as_content)

    def metadata(self, request: Any) -> Any:
        _require_spec(request)
        with self.registry.lease(request.model_spec) as (servable, version):
            return metadata(servable, request, version=version)

    def status(self, request: Any) -> Any:
        _require_spec(request)
        response = get_model_status_pb2.GetModelStatusResponse()
        for version in self.registry.status(request.model_spec):
            entry = response.model_version_status.add(version=version.number, state=int(version.state))
            if version.failure is not None:
                entry.status.error_code = version.failure.number
                entry.status.error_message = version.failure.message
            else:
                entry.status.SetInParent()
        return response

    def reload(self, request: Any) -> Any:
        """Replace the list of models; failures stand in the response's status too, as with TensorFlow Serving."""
        self.registry.apply(settings_of(request.config))
        logger.info("the list of models was replaced")
        response = model_management_pb2.ReloadConfigResponse()
        response.status.SetInParent()
        return response


def _require_spec(request: Any) -> None:
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
