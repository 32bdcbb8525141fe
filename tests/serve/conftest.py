from __future__ import annotations

import pytest
from served import models

from nacre.serve import Service
from nacre.web import running


@pytest.fixture(scope="session")
def service():
    service = Service(models())
    service.start()
    yield service
    service.stop()


@pytest.fixture(scope="session")
def url(service):
    with running(service, methods=service.methods) as url:
        yield url
