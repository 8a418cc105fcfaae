"""What the OpenAPI description says of requests and refusals that FastAPI cannot see in the code."""

from __future__ import annotations

from typing import Any

from sightline.serve import answers

BINARY = {"schema": {"type": "string", "format": "binary"}}
_FILES = {
    "type": "object",
    "required": ["files"],
    "properties": {"files": {"type": "array", "minItems": 1, "items": {"type": "string", "format": "binary"}}},
}
_IMAGES = {
    "type": "object",
    "required": ["images"],
    "properties": {"images": {"type": "array", "minItems": 1, "items": {"type": "string", "format": "byte"}}},
}
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": _FILES}, "application/json": {"schema": _IMAGES},
            "image/jpeg": BINARY, "image/png": BINARY, "application/octet-stream": BINARY,
        },
    }
}  # fmt: skip
WHY = {
    400: "There is no picture in the request, or it is broken.", 401: "A key is needed.",
    403: "A page of another site asks, or a service of one machine is called by a name of the web.",
    408: "The request did not arrive in time.", 413: "The request, or a picture in it, is too large.",
    415: "No type, or no picture format, that is taken.", 422: "A picture is broken, or a parameter out of range.",
    503: "All places are taken; Retry-After says when to try again.", 504: "Not answered in time.",
}  # fmt: skip
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": answers.Problem, "description": text} for status, text in WHY.items()
}
POSTS: dict[str, Any] = {"responses": PROBLEMS, "openapi_extra": BODY}
