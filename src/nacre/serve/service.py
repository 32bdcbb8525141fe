"""The application: every path of every model in one table, and what is answered there.

Open Inference Protocol V2 under /v2, the REST interface of TensorFlow Serving under /v1, ``POST /predict`` for the first model, and
/metrics, /openapi.json and a page. Paths are looked up as a whole, so that what is asked for never becomes a path of ours.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import msgspec
import numpy.typing as npt
from starlette.types import Receive, Scope, Send

import nacre
from nacre.errors import did_you_mean
from nacre.models import Model
from nacre.models.forms import classes_of
from nacre.serve import page
from nacre.serve.metrics import Metrics
from nacre.serve.openapi import document
from nacre.serve.signature import Given, Signature, Tensor, in_words, list_of, signature_of
from nacre.serve.worker import Worker, check_count
from nacre.web import Refused, answer

Array = npt.NDArray[Any]

VERSION = "1"  # of every model
_LARGE = 1 << 16  # bytes of a body that takes long enough to read that others should not have to wait
_READ, _SENT = ("GET", "HEAD"), ("POST",)
_JSON = b"application/json"
_ENCODER = msgspec.json.Encoder()


class Answer(NamedTuple):
    """What is sent back."""

    body: bytes
    kind: bytes = _JSON
    status: int = 200


Handler = Callable[[bytes, Scope], Awaitable[Answer]]


@dataclass(frozen=True)
class Route:
    """What is done at a path. ``template`` and ``model`` are how it is counted."""

    template: str
    model: str
    methods: Sequence[str]
    handler: Handler


class _Wanted(msgspec.Struct):
    name: str
    parameters: dict[str, Any] | None = None


class _Infer(msgspec.Struct):
    """A request of the Open Inference Protocol."""

    inputs: list[Given]
    id: str | None = None
    outputs: list[_Wanted] | None = None
    parameters: dict[str, Any] | None = None


class Served:
    """A model that is served: its name, what it takes and gives, and its worker."""

    def __init__(self, name: str, model: Model, metrics: Metrics) -> None:
        self.name, self.model = name, model
        self.signature: Signature = signature_of(model)
        shapes = [tuple(int(n or 0) for n in shape[1:]) for shape in model.output_shapes]
        self.outputs = [Tensor(one, shape, "FP32") for one, shape in zip(model.output_names, shapes, strict=True)]
        self.worker = Worker(model, partial(metrics.batch, name))
        fields: list[tuple[str, Any, Any]] = [
            ("instances", list_of(self.signature.row) | msgspec.UnsetType, msgspec.UNSET),
            ("inputs", self.signature.columns | msgspec.UnsetType, msgspec.UNSET),
        ]
        self.decoder = msgspec.json.Decoder(msgspec.defstruct("Predict", fields))

    def read(self, body: bytes) -> tuple[bool, list[Array]]:
        """A request in the manner of TensorFlow Serving: whether it is of columns, and the inputs of the model."""
        asked = _decoded(self.decoder, body)
        if (asked.instances is msgspec.UNSET) == (asked.inputs is msgspec.UNSET):
            raise Refused(400, "A request has either 'instances', a list of rows, or 'inputs', columns.")
        if asked.inputs is msgspec.UNSET:
            check_count(len(asked.instances))
            return False, self.signature.from_rows(asked.instances)
        return True, self.signature.from_columns(asked.inputs)

    async def predict(self, body: bytes) -> Answer:
        """Answer a request in the manner of TensorFlow Serving."""
        columns, inputs = await self._aside(body, self.read)
        found = dict(zip(self.model.output_names, await self.worker.predict(inputs), strict=True))
        lists: Any = {name: y.tolist() for name, y in found.items()}
        if len(lists) == 1:
            lists = next(iter(lists.values()))
        elif not columns:
            lists = [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]
        return Answer(_ENCODER.encode({"outputs" if columns else "predictions": lists}))

    def read_tensors(self, body: bytes) -> tuple[_Infer, list[Tensor], list[Array]]:
        """A request of the Open Inference Protocol: as it is, the outputs that are wanted, and the inputs of the model."""
        asked = _decoded(_INFER, body)
        given = {one.name: one for one in asked.inputs}
        if len(given) < len(asked.inputs):
            raise Refused(400, "An input is given twice.")
        known = [tensor.name for tensor in self.signature.inputs]
        for name in given:
            if name not in known:
                raise Refused(400, f"{self.name!r} has no input {name[:80]!r}: {did_you_mean(name[:80], known)}")
        outputs = {tensor.name: tensor for tensor in self.outputs}
        names = list(outputs) if not asked.outputs else [one.name for one in asked.outputs]
        for name in names:
            if name not in outputs:
                raise Refused(400, f"{self.name!r} has no output {name[:80]!r}: {did_you_mean(name[:80], outputs)}")
        return asked, [outputs[name] for name in names], self.signature.from_tensors(given)

    async def infer(self, body: bytes) -> Answer:
        """Answer a request of the Open Inference Protocol."""
        asked, wanted, inputs = await self._aside(body, self.read_tensors)
        found = dict(zip(self.model.output_names, await self.worker.predict(inputs), strict=True))
        outputs = [
            {
                "name": t.name,
                "shape": list(found[t.name].shape),
                "datatype": t.datatype,
                "data": found[t.name].ravel().tolist(),
            }
            for t in wanted
        ]
        said = {"model_name": self.name, "model_version": VERSION, **({} if asked.id is None else {"id": asked.id})}
        return Answer(_ENCODER.encode({**said, "outputs": outputs}))

    async def _aside(self, body: bytes, read: Callable[[bytes], Any]) -> Any:
        """What ``read`` makes of the body; in a thread if that takes long."""
        if len(body) < _LARGE and not self.signature.slow:
            return read(body)
        return await asyncio.to_thread(read, body)

    def metadata(self) -> dict[str, Any]:
        """Inputs and outputs, as the Open Inference Protocol tells them; the names of classes are among the parameters."""
        outputs = []
        for number, tensor in enumerate(self.outputs):
            classes = classes_of(self.model, number)
            outputs.append({**_described(tensor), **({"parameters": {"classes": classes}} if classes else {})})
        inputs = [_described(tensor) for tensor in self.signature.inputs]
        return {"name": self.name, "versions": [VERSION], "platform": "nacre", "inputs": inputs, "outputs": outputs}

    def start(self) -> None:
        """Make ready what takes long the first time."""
        self.worker.start(self.signature.blank())


class Service:
    """An ASGI application that serves models, the first of them also at /predict."""

    def __init__(self, models: Mapping[str, Model]) -> None:
        self.metrics = Metrics(models)
        self.models = {name: Served(name, model, self.metrics) for name, model in models.items()}
        self.stopping = False
        self.routes = self._routes()
        self.document = _ENCODER.encode(document(self.models))

    def start(self) -> None:
        """Start the workers."""
        for model in self.models.values():
            model.start()

    def stop(self) -> None:
        """End the workers, when what waits is done."""
        for model in self.models.values():
            model.worker.stop()

    def methods(self, path: str) -> Sequence[str]:
        """Which methods a path has."""
        route = self.routes.get(path)
        return (*_READ, *_SENT) if route is None else route.methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, which a `Guard` has let through."""
        if scope["type"] != "http":
            return
        begin = time.perf_counter()
        route = self.routes.get(scope["path"])
        if route is None:
            self.metrics.request("", "", 404, 0.0)
            raise Refused(404, self._missing(scope["path"]))
        code = 500
        try:
            found = await route.handler((await receive()).get("body", b""), scope)
            code = found.status
            await answer(send, found.status, found.body, found.kind)
        except Refused as error:
            code = error.status
            raise
        finally:
            self.metrics.request(route.model, route.template, code, time.perf_counter() - begin)

    def _missing(self, path: str) -> str:
        parts = path.split("/")
        name = parts[3].partition(":")[0] if len(parts) > 3 and parts[2] == "models" else ""
        if name and name not in self.models:
            return f"There is no model {name[:80]!r}: {did_you_mean(name[:80], self.models)}"
        return "There is nothing here: / is a page, /openapi.json says what else there is."

    # -------------------------------------------------------------- routes

    def _routes(self) -> dict[str, Route]:
        first = next(iter(self.models.values()))
        found = {path: Route(path, "", _READ, _fixed(asset)) for path, asset in page.assets().items()}
        for path, get in {
            "/": self._page,
            "/metrics": self._metrics,
            "/openapi.json": self._openapi,
            "/v2": self._server,
            "/v2/health/live": self._live,
            "/v2/health/ready": self._ready,
        }.items():
            found[path] = Route(path, "", _READ, get)
        found["/predict"] = Route("/predict", first.name, _SENT, _of_body(first.predict))
        for name, one in self.models.items():
            for versions in ("", f"/versions/{VERSION}"):
                for path, methods, handler in (
                    (f"/v1/models/*{versions}", _READ, _of_nothing(self._status)),
                    (f"/v1/models/*{versions}:predict", _SENT, _of_body(one.predict)),
                    (f"/v2/models/*{versions}", _READ, _of_nothing(partial(_encoded, one.metadata()))),
                    (f"/v2/models/*{versions}/ready", _READ, _of_nothing(partial(self._model_ready, name))),
                    (f"/v2/models/*{versions}/infer", _SENT, _of_body(one.infer)),
                ):
                    found[path.replace("*", name)] = Route(path.replace("*", "{model}"), name, methods, handler)
        return found

    async def _page(self, _body: bytes, scope: Scope) -> Answer:
        asked = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True).get(
            "model", [next(iter(self.models))]
        )[0]
        if asked not in self.models:
            raise Refused(404, f"There is no model {asked[:80]!r}.")
        return Answer(page.rendered_for(list(self.models), self.models[asked]), b"text/html; charset=utf-8")

    async def _metrics(self, _body: bytes, _scope: Scope) -> Answer:
        queued = {name: one.worker.requests for name, one in self.models.items()}
        return Answer(self.metrics.text(queued).encode(), b"text/plain; version=0.0.4; charset=utf-8")

    async def _openapi(self, _body: bytes, _scope: Scope) -> Answer:
        return Answer(self.document)

    async def _server(self, _body: bytes, _scope: Scope) -> Answer:
        return _encoded({"name": "nacre", "version": nacre.__version__, "extensions": []})

    async def _live(self, _body: bytes, _scope: Scope) -> Answer:
        return _encoded({"live": True})

    async def _ready(self, _body: bytes, _scope: Scope) -> Answer:
        return _encoded({"ready": not self.stopping}, 503 if self.stopping else 200)

    def _model_ready(self, name: str) -> Answer:
        return _encoded({"name": name, "ready": not self.stopping}, 503 if self.stopping else 200)

    def _status(self) -> Answer:
        state = "UNLOADING" if self.stopping else "AVAILABLE"
        status = {"error_code": "OK", "error_message": ""}
        return _encoded({"model_version_status": [{"version": VERSION, "state": state, "status": status}]})


def _of_body(handler: Callable[[bytes], Awaitable[Answer]]) -> Handler:
    async def handle(body: bytes, _scope: Scope) -> Answer:
        return await handler(body)

    return handle


def _of_nothing(handler: Callable[[], Answer]) -> Handler:
    async def handle(_body: bytes, _scope: Scope) -> Answer:
        return handler()

    return handle


def _fixed(asset: tuple[bytes, bytes]) -> Handler:
    return _of_nothing(partial(Answer, *asset))


def _encoded(told: Mapping[str, Any], status: int = 200) -> Answer:
    return Answer(_ENCODER.encode(told), status=status)


def _described(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": [-1, *tensor.shape]}


_INFER: msgspec.json.Decoder[_Infer] = msgspec.json.Decoder(_Infer)


def _decoded(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise Refused(400, in_words(error)) from error


__all__ = ["Answer", "Served", "Service"]
