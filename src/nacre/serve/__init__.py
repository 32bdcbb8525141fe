"""Models that answer over HTTP: the Open Inference Protocol, the REST interface of TensorFlow Serving, and a page.

Imported only when a server is started: it brings starlette, uvicorn and msgspec.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping

from nacre.models import Model
from nacre.serve.service import Service
from nacre.web import run


def serve(
    models: Mapping[str, Model],
    host: str = "127.0.0.1",
    port: int | None = None,
    token: str | None = None,
    started: Callable[[str], object] = print,
) -> None:
    """Serve models under their names until SIGINT or SIGTERM; the first is also at /predict. See `nacre.web.run`."""
    service = Service(models)
    service.start()
    gc.collect()
    gc.freeze()  # what is there now stays, and need not be looked through again and again while requests wait

    def stopping() -> None:
        service.stopping = True

    try:
        run(service, host, port, token=token, methods=service.methods, started=started, stopping=stopping)
    finally:
        service.stop()
        gc.unfreeze()


__all__ = ["Service", "serve"]
