"""Whoever sends nonsense gets a short answer, and everybody else goes on getting right ones.

NACRE_HOSTILE says how many requests are made up, 60 unless it is set.
"""

from __future__ import annotations

import json
import os
import random
import threading

import msgspec
import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from served import as_float32, post
from talk import ask, raw

COUNT = int(os.environ.get("NACRE_HOSTILE", "60"))
X = [0.25, -1.0, 3.5, 2.0]
POSTED = [
    "/predict",
    "/v1/models/plain:predict",
    "/v2/models/plain/infer",
    "/v1/models/people:predict",
    "/v2/models/people/infer",
]
READ = ["/", "/metrics", "/openapi.json", "/v2", "/v2/health/ready", "/v2/models/people", "/v1/models/plain"]


class _GoodClient:
    """Asks for the same prediction again and again, and notes every answer that is not the right one."""

    def __init__(self, service, url):
        self.url, self.expected = url, service.models["plain"].model.predict(np.array([X], np.float32), verbose=0)
        self.wrong, self.answers, self.over = [], 0, threading.Event()
        self.thread = threading.Thread(target=self._go)

    def _go(self):
        while not self.over.wait(0.01):
            reply = post(self.url, "/predict", {"instances": [X]})
            self.answers += 1
            if reply.status != 200 or not np.array_equal(as_float32(reply.json["predictions"]), self.expected):
                self.wrong.append(reply)


@pytest.fixture
def good(service, url):
    client = _GoodClient(service, url)
    client.thread.start()
    yield client
    client.over.set()
    client.thread.join()
    assert client.answers > 0
    assert client.wrong == []


# ------------------------------------------------------------------ what fits the description, and what does not


@pytest.fixture(scope="module")
def described(url):
    return schemathesis.openapi.from_url(f"{url}/openapi.json")


def _made_up(described, path, method, mode, count):
    statuses = set()

    @settings(
        max_examples=max(1, count),
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=described[path][method].as_strategy(generation_mode=mode))
    def go(case):
        response = case.call_and_validate()
        statuses.add(response.status_code)
        msgspec.json.decode(response.content) if method == "POST" else None

    go()
    return statuses


@pytest.mark.parametrize("path", POSTED)
def test_what_fits_the_description_is_answered_and_nothing_else(good, described, path):
    each = COUNT // (2 * len(POSTED))
    assert _made_up(described, path, "POST", GenerationMode.POSITIVE, each) == {200}
    assert _made_up(described, path, "POST", GenerationMode.NEGATIVE, each) <= {400, 415}


@pytest.mark.parametrize("path", READ)
def test_what_can_be_read_is_as_it_is_described(described, path):
    assert _made_up(described, path, "GET", GenerationMode.POSITIVE, 2) == {200}


# ------------------------------------------------------------------ what no generator thinks of


def _mutated(random_, body):
    """A request with something wrong in it."""
    choice = random_.randrange(8)
    if choice == 0:  # cut off
        return body[: random_.randrange(len(body))]
    if choice == 1:  # a byte turned around
        at = random_.randrange(len(body))
        return body[:at] + bytes([random_.randrange(256)]) + body[at + 1 :]
    if choice == 2:  # something in between
        at = random_.randrange(len(body))
        odd = [
            b"NaN",
            b"Infinity",
            b"-",
            b"1e999",
            b"[" * 50_000,
            b"{" * 50_000,
            b'{"a":' * 50_000,
            b"9" * 100_000,
            b"\x00",
            b"\xff",
            b'"\\ud800"',
        ]
        return body[:at] + random_.choice(odd) + body[at:]
    if choice == 3:  # twice
        return body + body
    if choice == 4:  # a value of another kind
        values = ["null", "true", '"x"', "[]", "{}", "1e30", "-1", '{"b64": "AAAA"}', "[[[[[[1]]]]]]"]
        return body.replace(random_.choice([b"1", b"x", b"[", b"30"]), random_.choice(values).encode(), 1)
    if choice == 5:  # names
        return body.replace(b'"', b'"\\u0000', random_.randrange(1, 4))
    if choice == 6:
        return bytes(random_.randrange(256) for _ in range(random_.randrange(200)))
    return json.dumps({"instances": _nonsense(random_, 6), "inputs": None}).encode()


def _nonsense(random_, depth):
    kind = random_.randrange(7 if depth else 5)
    if kind < 5:
        return [
            None,
            True,
            random_.uniform(-1e300, 1e300),
            random_.randrange(-(2**70), 2**70),
            "x" * random_.randrange(50),
        ][kind]
    values = [_nonsense(random_, depth - 1) for _ in range(random_.randrange(5))]
    return values if kind == 5 else {str(n): value for n, value in enumerate(values)}


BODIES = [
    ("/predict", {"instances": [X, X]}),
    ("/v2/models/plain/infer", {"id": "x", "inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": X}]}),
    ("/v1/models/several:predict", {"inputs": {"a": [[1, 2]], "b": [[[1, 2, 3], [4, 5, 6]]]}}),
    ("/v1/models/terms:predict", {"instances": [[1, 2, 3]]}),
    ("/v1/models/people:predict", {"instances": [{"age": 30, "city": "Oslo", "born": "2024-01-01"}]}),
    ("/v1/models/pets:predict", {"instances": [{"b64": "iVBORw0KGgo="}]}),
]


def test_bodies_that_went_wrong_are_refused_in_one_line(good, url):
    random_ = random.Random(0)
    for number in range(COUNT):
        path, document = BODIES[number % len(BODIES)]
        body = _mutated(random_, json.dumps(document).encode())
        reply = post(url, path, body)
        assert reply.status in (200, 400), (path, body[:200], reply)
        told = msgspec.json.decode(reply.body)
        if reply.status == 400:
            assert list(told) == ["error"]
            assert len(told["error"]) < 600
            assert not any(word in told["error"] for word in ("Traceback", ".py", "/src/", "0x")), told


def test_addresses_that_lead_nowhere_are_told_so(good, url):
    random_ = random.Random(0)
    pieces = [
        "v1",
        "v2",
        "models",
        "plain",
        "..",
        "%2e%2e",
        "%00",
        "infer",
        "plain:predict",
        "versions",
        "1",
        "",
        "\\",
        "etc",
        "passwd",
        "%ff",
        "a" * 300,
    ]
    for _ in range(COUNT):
        path = "/" + "/".join(random_.choice(pieces) for _ in range(random_.randrange(1, 7)))
        reply = ask(
            url, path, random_.choice(["GET", "HEAD", "DELETE", "OPTIONS", "TRACE"]), headers={"Connection": "close"}
        )
        assert reply.status in (200, 400, 404, 405, 415), (path, reply)
        assert b"root:" not in reply.body


def test_bytes_that_are_no_requests_are_refused(good, url):
    random_ = random.Random(0)
    lines = ["POST /predict HTTP/1.1", f"Host: {url[7:]}", "Content-Type: application/json", "Content-Length: 2"]
    whole = "\r\n".join([*lines, "Connection: close", "", "{}"]).encode()
    for _ in range(COUNT):
        at = random_.randrange(len(whole) - 30)
        odd = random_.choice(
            [b"\r\n", b"\0", b"\n", b" ", b":", bytes([random_.randrange(256)]), b"Transfer-Encoding: chunked\r\n"]
        )
        reply = raw(url, whole[:at] + odd + whole[at + random_.randrange(3) :] + b"\r\n\r\n")
        assert reply.status in (400, 404, 405, 413, 414, 415, 421, 431), (whole[:at] + odd, reply)
