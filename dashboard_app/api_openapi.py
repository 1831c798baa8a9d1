"""The API's description as OpenAPI 3.1, written from its table."""

from typing import Final

from dashboard_app import api_problems
from dashboard_app.api_parameters import Json, Parameter
from dashboard_app.api_table import BASE, JSON, ROUTES, Route

_REFUSED: Final = {
    "400": "A parameter makes no sense, or a cursor is stale; `detail` says which, and the way out.",
    "503": "The worker does not hold the history yet; ask again after `Retry-After` seconds.",
}
_PROBLEM: Final[Json] = {
    "type": "object",
    "description": "Problem details, RFC 9457.",
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "parameter": {"type": "string"},
    },
    "required": ["type", "title", "status", "detail"],
    "additionalProperties": False,
}


def description(prefix: str, version: str) -> Json:
    """Return the description of the API behind a prefix such as `/`."""
    schemas = {route.schema_name: route.schema for route in ROUTES if route.schema_name}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sensorbus",
            "version": version,
            "description": "What the page shows, for programs: the last 15 minutes that a worker of the page holds.",
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": f"{prefix}{BASE}"}],
        "paths": {route.path: {"get": _operation(route)} for route in ROUTES},
        "components": {
            "schemas": schemas | {"Problem": _PROBLEM},
            "responses": {f"Refused{status}": _refused(text) for status, text in _REFUSED.items()},
        },
    }


def _operation(route: Route) -> Json:
    schema = {"$ref": f"#/components/schemas/{route.schema_name}"} if route.schema_name else route.schema
    responses: Json = {"200": {"description": route.summary, "content": {route.content_type: {"schema": schema}}}}
    if any(parameter.name == "cursor" for parameter in route.parameters):
        responses["200"]["headers"] = {
            "Link": {"description": 'The next rows: `<...>; rel="next"`.', "schema": {"type": "string"}}
        }
    if route.content_type == JSON:
        responses["304"] = {"description": "It is as it was: the ETag in `If-None-Match` still holds."}
    responses |= {status: {"$ref": f"#/components/responses/Refused{status}"} for status in _REFUSED}
    return {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": [_parameter(parameter) for parameter in route.parameters],
        "responses": responses,
    }


def _parameter(parameter: Parameter) -> Json:
    is_list = parameter.max_items > 1
    schema = (
        {"type": "array", "items": parameter.schema, "maxItems": parameter.max_items} if is_list else parameter.schema
    )
    told = {"name": parameter.name, "in": "query", "description": parameter.description, "schema": schema}
    return told | ({"style": "form", "explode": True} if is_list else {})


def _refused(description: str) -> Json:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": description, "content": {api_problems.CONTENT_TYPE: {"schema": schema}}}
