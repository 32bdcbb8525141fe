"""What a server answers, in the words of OpenAPI 3.1, made from what its models take and give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import nacre

if TYPE_CHECKING:
    from nacre.serve.service import Served

_ERROR = {
    "description": "Why not, in one line.",
    "content": {
        "application/json": {
            "schema": {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
        }
    },
}


def document(models: Mapping[str, Served]) -> dict[str, Any]:
    """The document."""
    first = next(iter(models.values()))
    paths: dict[str, Any] = {
        "/": {"get": _get("A page to try models on", "text/html", {"type": "string"}, 404)},
        "/metrics": {"get": _get("Counters for Prometheus", "text/plain", {"type": "string"})},
        "/openapi.json": {"get": _get("This document", "application/json", {"type": "object"})},
        "/v2": {
            "get": _get(
                "The server", "application/json", _object(name=_TEXT, version=_TEXT, extensions={"type": "array"})
            )
        },
        "/v2/health/live": {"get": _get("Whether it runs", "application/json", _object(live=_TRUTH))},
        "/v2/health/ready": {"get": _get("Whether it takes requests", "application/json", _object(ready=_TRUTH), 503)},
        "/predict": {"post": _predict(first)},
    }
    paths["/"]["get"]["parameters"] = [
        {"name": "model", "in": "query", "schema": {"type": "string", "enum": list(models)}}
    ]
    for name, model in models.items():
        for versions in ("", "/versions/1"):
            old, new = f"/v1/models/{name}{versions}", f"/v2/models/{name}{versions}"
            status = {"type": "array", "items": _object(version=_TEXT, state=_TEXT, status={"type": "object"})}
            paths[old] = {"get": _get("Its state", "application/json", _object(model_version_status=status))}
            paths[f"{old}:predict"] = {"post": _predict(model)}
            told = _object(name=_TEXT, versions={"type": "array"}, platform=_TEXT, inputs=_TENSORS, outputs=_TENSORS)
            paths[new] = {"get": _get("Its inputs and outputs", "application/json", told)}
            ready = _object(name=_TEXT, ready=_TRUTH)
            paths[f"{new}/ready"] = {"get": _get("Whether it takes requests", "application/json", ready, 503)}
            paths[f"{new}/infer"] = {"post": _infer(model)}
    return {"openapi": "3.1.0", "info": {"title": "nacre serve", "version": nacre.__version__}, "paths": paths}


_TEXT = {"type": "string"}
_TRUTH = {"type": "boolean"}
_TENSORS = {
    "type": "array",
    "items": {"type": "object", "required": ["name", "datatype", "shape"]},
}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


def _get(summary: str, kind: str, schema: Mapping[str, Any], *errors: int) -> dict[str, Any]:
    answers = {"200": {"description": summary, "content": {kind: {"schema": schema}}}}
    return {"summary": summary, "responses": answers | {str(code): _ERROR for code in errors}}


def _post(summary: str, asked: Mapping[str, Any], answered: Mapping[str, Any]) -> dict[str, Any]:
    answers = {"200": {"description": summary, "content": {"application/json": {"schema": answered}}}}
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": {"schema": asked}}},
        "responses": answers | {str(code): _ERROR for code in (400, 413, 415, 503)},
    }


def _predict(model: Served) -> dict[str, Any]:
    rows = {"type": "array", "items": model.signature.schema(), "minItems": 1}
    asked = {"type": "object", "required": ["instances"], "properties": {"instances": rows, "inputs": False}}
    each = {tensor.name: _numbers(tensor.shape) for tensor in model.outputs}
    one = next(iter(each.values())) if len(each) == 1 else _object(**each)
    return _post("Predict rows", asked, _object(predictions={"type": "array", "items": one}))


def _infer(model: Served) -> dict[str, Any]:
    tensors = [_object(**one) for one in model.signature.tensor_schemas()]
    inputs = {"type": "array", "prefixItems": tensors, "minItems": len(tensors), "maxItems": len(tensors)}
    wanted = _object(name={"enum": [tensor.name for tensor in model.outputs]})
    asked = {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": ["string", "null"]},
            "inputs": inputs,
            "outputs": {"type": ["array", "null"], "items": wanted},
            "parameters": {"type": ["object", "null"]},
        },
    }
    given = _object(
        name=_TEXT, shape={"type": "array"}, datatype=_TEXT, data={"type": "array", "items": {"type": "number"}}
    )
    answered = _object(model_name=_TEXT, model_version=_TEXT, outputs={"type": "array", "items": given})
    summary = (
        "Predict tensors. This is a request of one row: of n rows, shapes begin with n, and data are n times as long"
    )
    return _post(summary, asked, answered)


def _numbers(shape: tuple[int, ...]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "number"}
    for size in reversed(shape):
        schema = {"type": "array", "items": schema, "minItems": size, "maxItems": size}
    return schema
