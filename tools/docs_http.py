"""The page of the HTTP endpoint, from its OpenAPI document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docs_markdown import code, page, table

from humandetect.config import ServeConfig
from humandetect.service.app import create_app

if TYPE_CHECKING:
    from collections.abc import Iterator

INTRODUCTION = """\
What [`humandetect serve`](../guides/serve.md) answers. A running server shows the same at `/docs`, to try it out, and
as OpenAPI at `/openapi.json`. Boxes are `x1, y1, x2, y2` in pixels of the upright picture; scores are 0 to 1. With an
API key, all but the page, the documentation and health want `Authorization: Bearer KEY` or `X-API-Key: KEY`. Every
answer has an `X-Request-ID`.
"""


def http_page() -> str:
    """Return every route with what it takes and answers, then the JSON objects."""
    document = create_app(ServeConfig()).openapi()
    parts = [INTRODUCTION]
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            parts += [f"## {method.upper()} {path}", route.get("description") or route["summary"], *_route(route)]
    parts.append("## Objects")
    for name, schema in document["components"]["schemas"].items():
        if name not in ("HTTPValidationError", "ValidationError"):  # FastAPI's own; every error here is a Problem
            parts += [f"### {name}", schema.get("description", ""), _fields(schema)]
    return page("HTTP", *parts)


def _route(route: dict[str, Any]) -> Iterator[str]:
    if "parameters" in route:
        rows = [
            [code(f"?{one['name']}="), _type(one["schema"]), one.get("description", "")] for one in route["parameters"]
        ]
        yield table(["Query", "Type", "What"], rows)
    if "requestBody" in route:
        bodies = [[code(kind), _type(body["schema"])] for kind, body in route["requestBody"]["content"].items()]
        yield table(["Body", "Holds"], bodies)
    rows = [
        [status, answer["description"], ", ".join(_answer(*content) for content in answer.get("content", {}).items())]
        for status, answer in route["responses"].items()
    ]
    yield table(["Status", "When", "Answer"], rows)


def _answer(kind: str, content: dict[str, Any]) -> str:
    return _type(content["schema"]) if kind == "application/json" else code(kind)


def _fields(schema: dict[str, Any]) -> str:
    rows = [
        [code(name), _type(field), field.get("description", "")] for name, field in schema.get("properties", {}).items()
    ]
    return table(["Field", "Type", "What"], rows)


def _type(schema: dict[str, Any]) -> str:
    """Say in a few words what a value is; objects of the page become links."""
    match schema:
        case {"$ref": str(ref)}:
            name = ref.rpartition("/")[2]
            return f"[{name}](#{name.lower()})"
        case {"anyOf": choices}:
            return " or ".join(_type(choice) for choice in choices)
        case {"const": value}:
            return code(f'"{value}"')
        case {"enum": values}:
            return ", ".join(code(f'"{value}"') for value in values)
        case {"type": "array", "prefixItems": items}:
            return f"{len(items)} numbers"
        case {"type": "array", "items": item}:
            return f"list of {_type(item)}"
        case {"type": "object", "properties": fields}:
            return ", ".join(f"{code(name)}: {_type(field)}" for name, field in fields.items())
        case {"format": "binary"} | {"contentMediaType": _}:
            return "bytes"
        case _:
            return str(schema.get("type", "anything"))
