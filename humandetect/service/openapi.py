"""The OpenAPI document: what it says of the API key, beside what FastAPI makes of the routes."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from humandetect.service.refusals import Cause

KEY_HEADERS = "the header `Authorization: Bearer KEY` or the header `X-API-Key: KEY`"
KEY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer KEY`"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "`X-API-Key: KEY`"},
}
"""One of them is enough."""


class DocumentedApi(FastAPI):
    """Describes itself, and the API key where it asks for one."""

    def __init__(self, *, asks_for_key: bool, **options: Any) -> None:
        says = (
            f"This server asks for an API key in {KEY_HEADERS}; pages and health need none. *Authorize* sets it here."
            if asks_for_key
            else f"This server asks for no API key. One started with `--api-key` takes it in {KEY_HEADERS}."
        )
        super().__init__(title="humandetect", summary="Finds people in images.", description=says, **options)
        self._asks_for_key = asks_for_key

    def openapi(self) -> dict[str, Any]:
        """Return the document; what may answer that the key is missing says which ways there are to send it."""
        document = super().openapi()
        if self._asks_for_key:
            document["components"]["securitySchemes"] = KEY_SCHEMES
            for operation in (operation for path in document["paths"].values() for operation in path.values()):
                if str(int(Cause.NO_KEY)) in operation["responses"]:
                    operation["security"] = [{name: []} for name in KEY_SCHEMES]
        return document
