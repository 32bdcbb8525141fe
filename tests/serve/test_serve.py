"""What a server answers: the numbers that the model gives, in three manners of asking."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time

import numpy as np
import pytest
from served import PEOPLE, as_float32, in_base64, png, post
from talk import ask, connect, read

import nacre
from nacre.serve import Service
from nacre.serve.worker import BATCH, Worker
from nacre.web import Refused, running


def _predicted(service, name, x):
    return service.models[name].model.predict(x, verbose=0)


# ------------------------------------------------------------------ TensorFlow Serving's manner


@pytest.mark.parametrize("path", ["/predict", "/v1/models/plain:predict", "/v1/models/plain/versions/1:predict"])
def test_rows_get_what_the_model_gives_to_the_bit(service, url, path, rng):
    x = rng.normal(size=(5, 4)).astype(np.float32)
    reply = post(url, path, {"instances": x.tolist(), "signature_name": "serving_default"})
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert np.array_equal(as_float32(reply.json["predictions"]), _predicted(service, "plain", x))


def test_inputs_may_be_named_and_columns_are_answered_as_outputs(service, url, rng):
    a, b = rng.normal(size=(3, 2)).astype(np.float32), rng.normal(size=(3, 2, 3)).astype(np.float32)
    one, two = _predicted(service, "several", [a, b])
    rows = [{"a": x.tolist(), "b": y.tolist()} for x, y in zip(a, b, strict=True)]
    predictions = post(url, "/v1/models/several:predict", {"instances": rows}).json["predictions"]
    assert [list(row) for row in predictions] == [["one", "two"]] * 3
    assert np.array_equal(as_float32([row["two"] for row in predictions]), two)
    outputs = post(url, "/v1/models/several:predict", {"inputs": {"a": a.tolist(), "b": b.tolist()}}).json["outputs"]
    assert np.array_equal(as_float32(outputs["one"]), one)
    named = post(url, "/predict", {"instances": [{"x": [1, 2, 3, 4]}]}).json
    assert named == post(url, "/predict", {"instances": [[1, 2, 3, 4]]}).json
    assert named["predictions"] == post(url, "/predict", {"inputs": {"x": [[1, 2, 3, 4]]}}).json["outputs"]


def test_tables_take_rows_with_names_and_words_that_were_never_seen(service, url):
    rows = [
        {"age": 30, "city": "Oslo", "born": "2024-01-01"},
        {"age": None, "city": "Atlantis", "born": None, "paid": "what is not asked for is passed over"},
    ]
    predictions = post(url, "/v1/models/people:predict", {"instances": rows}).json["predictions"]
    table = {"age": [30, None], "city": ["Oslo", "Atlantis"], "born": ["2024-01-01", None]}
    paid, debt = _predicted(service, "people", PEOPLE.of(table))
    assert np.array_equal(as_float32([row["paid"] for row in predictions]), paid)
    assert np.array_equal(as_float32([row["debt"] for row in predictions]), debt)
    outputs = post(url, "/v1/models/people:predict", {"inputs": table}).json["outputs"]
    assert np.array_equal(as_float32(outputs["paid"]), paid)


def test_pictures_are_decoded_by_the_rule_of_the_model(service, url, tmp_path):
    (tmp_path / "a.png").write_bytes(png((200, 10, 10)))
    pixels = service.models["pets"].model.features.decoded(tmp_path / "a.png")
    expected = _predicted(service, "pets", pixels[None])
    for instance in (in_base64(png((200, 10, 10))), pixels.tolist()):
        given = post(url, "/v1/models/pets:predict", {"instances": [instance]}).json["predictions"]
        assert np.array_equal(as_float32(given), expected)


def test_the_state_of_a_model_is_told(url):
    (state,) = ask(url, "/v1/models/plain").json["model_version_status"]
    assert (state["version"], state["state"]) == ("1", "AVAILABLE")
    assert "did you mean 'plain'" in ask(url, "/v1/models/plian").json["error"]


# ------------------------------------------------------------------ Open Inference Protocol


def test_the_server_and_its_models_describe_themselves(url):
    assert ask(url, "/v2").json == {"name": "nacre", "version": nacre.__version__, "extensions": []}
    assert ask(url, "/v2/health/live").json == {"live": True}
    assert ask(url, "/v2/health/ready").json == {"ready": True}
    assert ask(url, "/v2/models/plain/ready").json == {"name": "plain", "ready": True}
    told = ask(url, "/v2/models/several").json
    assert told["inputs"] == [
        {"name": "a", "datatype": "FP32", "shape": [-1, 2]},
        {"name": "b", "datatype": "FP32", "shape": [-1, 2, 3]},
    ]
    assert told["versions"] == ["1"]
    assert ask(url, "/v2/models/several/versions/1").json == told
    assert ask(url, "/v2/models/people").json["outputs"][0]["parameters"] == {"classes": ["no", "yes"]}
    assert [one["datatype"] for one in ask(url, "/v2/models/people").json["inputs"]] == ["FP64", "BYTES", "BYTES"]
    assert ask(url, "/v2/models/plain/versions/2").status == 404


def _tensor(name, array, datatype="FP32", flat=True):
    return {
        "name": name,
        "shape": list(np.shape(array)),
        "datatype": datatype,
        "data": np.ravel(array).tolist() if flat else np.asarray(array).tolist(),
    }


@pytest.mark.parametrize("flat", [True, False])
def test_tensors_get_what_the_model_gives_to_the_bit(service, url, flat, rng):
    a, b = rng.normal(size=(3, 2)).astype(np.float32), rng.normal(size=(3, 2, 3)).astype(np.float32)
    asked = {"id": "seven", "inputs": [_tensor("b", b, flat=flat), _tensor("a", a, "FP64", flat)]}
    given = post(url, "/v2/models/several/infer", asked).json
    assert {key: given[key] for key in ("model_name", "model_version", "id")} == {
        "model_name": "several",
        "model_version": "1",
        "id": "seven",
    }
    for output, expected in zip(given["outputs"], _predicted(service, "several", [a, b]), strict=True):
        assert (output["datatype"], output["shape"]) == ("FP32", list(expected.shape))
        assert np.array_equal(as_float32(output["data"]), expected.ravel())
    wanted = {**asked, "outputs": [{"name": "two", "parameters": {"binary_data": False}}]}
    chosen = post(url, "/v2/models/several/versions/1/infer", wanted).json
    assert chosen["outputs"] == [given["outputs"][1]]


def test_tensors_of_words_and_files_are_taken(service, url):
    columns = [
        _tensor("age", [[30.0], [41.0]], "FP64"),
        _tensor("city", ["Oslo", "Lima"], "BYTES"),
        _tensor("born", ["2024-01-01"] * 2, "BYTES"),
    ]
    given = post(url, "/v2/models/people/infer", {"inputs": columns}).json
    expected = _predicted(
        service, "people", PEOPLE.of({"age": [30, 41], "city": ["Oslo", "Lima"], "born": ["2024-01-01"] * 2})
    )
    assert np.array_equal(as_float32(given["outputs"][0]["data"]), expected[0].ravel())
    name = service.models["pets"].signature.inputs[0].name
    file = post(url, "/v2/models/pets/infer", {"inputs": [_tensor(name, [in_base64(png((1, 2, 3)))["b64"]], "BYTES")]})
    pixels = post(url, "/v2/models/pets/infer", {"inputs": [_tensor(name, np.full((1, 8, 8, 3), [1, 2, 3]), "UINT8")]})
    assert file.json == pixels.json


# ------------------------------------------------------------------ what is refused, and how it is said

X = [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("path", "asked", "told"),
    [
        ("/predict", {}, "A request has either 'instances', a list of rows, or 'inputs', columns."),
        (
            "/predict",
            {"instances": [X], "inputs": [X]},
            "A request has either 'instances', a list of rows, or 'inputs', columns.",
        ),
        ("/predict", [X], "Expected an object, found a list."),
        ("/predict", {"instances": []}, "There are no instances, expected at least one."),
        ("/predict", {"instances": [X, [1, 2, 3]]}, "Instance 1 of 'x' has 3 numbers, expected 4 numbers."),
        ("/predict", {"instances": [X, [1, 2, "3", 4]]}, "Instance 1, at [2]: expected a number, found text."),
        ("/predict", {"instances": [X, [1, 2, None, 4]]}, "Instance 1, at [2]: expected a number, found null."),
        (
            "/predict",
            {"instances": [X, [1, 2, True, 4]]},
            "Instance 1, at [2]: expected a number, found true or false.",
        ),
        (
            "/predict",
            {"instances": [[1, 2, 3, -1e39]]},
            "Instance 0 of 'x' has -1e+39 at [3], expected a number from -3.4028235e+38 to 3.4028235e+38.",
        ),
        ("/predict", {"instances": [{"y": X}]}, "Instance 0: expected 'x', which is missing."),
        ("/predict", {"instances": [{"x": X}, X]}, "Instance 1 does not name its input, and others do."),
        ("/predict", b'{"instances": [[1, 2, NaN, 4]]}', "JSON is malformed: invalid character (byte 22)."),
        ("/predict", b'{"instances": [[1, 2, 1e999, 4]]}', "Instance 0, at [2]: the number is out of range."),
        (
            "/predict",
            b'{"instances": [[1, 2, ' + b"9" * 100_000 + b", 4]]}",
            "Instance 0, at [2]: the number is out of range.",
        ),
        ("/predict", b'{"a": ' + b"[" * 100_000, "The JSON is nested too deeply."),
        ("/predict", b"", "Input data was truncated."),
        (
            "/v1/models/several:predict",
            {"instances": [{"a": [1, 2], "b": [[1, 2, 3], [4, 5]]}]},
            "Instance 0 of 'b' has rows of different lengths, expected 2 x 3 numbers.",
        ),
        (
            "/v1/models/several:predict",
            {"inputs": {"a": [[1, 2]], "b": [[[1, 2, 3], [4, 5, 6]]] * 2}},
            "The inputs have 1, 2 rows, expected as many of each.",
        ),
        (
            "/v1/models/terms:predict",
            {"instances": [[1, 2, 3], [1, 2.5, 3]]},
            "Instance 1 of 'input_layer' has 2.5 at [1], expected a whole number from 0 to 4.",
        ),
        (
            "/v1/models/terms:predict",
            {"instances": [[1, 2, 3], [1, 2, 5]]},
            "Instance 1 of 'input_layer' has 5 at [2], expected a whole number from 0 to 4.",
        ),
        (
            "/v1/models/people:predict",
            {"instances": [{"age": 1, "city": "Oslo"}]},
            "Instance 0: expected 'born', which is missing.",
        ),
        (
            "/v1/models/people:predict",
            {"instances": [{"age": "old", "city": "Oslo", "born": None}]},
            "Instance 0, 'age': expected a number or null, found text.",
        ),
        (
            "/v1/models/people:predict",
            {"instances": [{"age": 1, "city": [], "born": None}]},
            "Instance 0, 'city': expected true or false or a number or text or null, found a list.",
        ),
        (
            "/v1/models/people:predict",
            {"instances": [{"age": 1, "city": None, "born": "soon"}]},
            "Instance 0 of the column 'born' is 'soon', expected a date such as 2024-12-31, or null.",
        ),
        (
            "/v1/models/pets:predict",
            {"instances": [{"b64": "not base64"}]},
            "Instance 0 is not base64, expected the file of a picture.",
        ),
        (
            "/v1/models/pets:predict",
            {"instances": [in_base64(b"no picture")]},
            "Instance 0: Cannot read the picture: UnidentifiedImageError.",
        ),
        (
            "/v1/models/pets:predict",
            {"instances": [in_base64(png((0, 0, 0), (8000, 8000)))]},
            "Instance 0: the picture has 8,000 x 8,000 pixels, which is refused.",
        ),
        (
            "/v1/models/pets:predict",
            {"instances": [np.full((8, 8, 3), 256).tolist()]},
            "has 256 at [0][0][0], expected a whole number from 0 to 255.",
        ),
        ("/v2/models/plain/infer", {"inputs": [_tensor("y", [X])]}, "'plain' has no input 'y': one of x"),
        ("/v2/models/plain/infer", {"inputs": [_tensor("x", [X])] * 2}, "An input is given twice."),
        (
            "/v2/models/plain/infer",
            {"inputs": [_tensor("x", [X])], "outputs": [{"name": "z"}]},
            "'plain' has no output 'z': one of dense_1",
        ),
        ("/v2/models/plain/infer", {"inputs": []}, "The input 'x' is missing, found none."),
        (
            "/v2/models/plain/infer",
            {"inputs": [{**_tensor("x", [X]), "shape": [2, 4]}]},
            "The data of 'x' have 4 numbers, the shape says 2 x 4 numbers.",
        ),
        (
            "/v2/models/plain/infer",
            {"inputs": [_tensor("x", [X[:3]])]},
            "The input 'x' has rows of 3 numbers, expected 4 numbers.",
        ),
        (
            "/v2/models/plain/infer",
            {"inputs": [{**_tensor("x", [X]), "shape": [10**18, 10**18]}]},
            "The data of 'x' have 4 numbers, the shape says",
        ),
        (
            "/v2/models/plain/infer",
            {"inputs": [{**_tensor("x", [X]), "datatype": "FP8"}]},
            "The datatype of 'x' is 'FP8', expected one of BOOL, UINT8",
        ),
        (
            "/v2/models/plain/infer",
            {"inputs": [_tensor("x", [[1, 2, 3, 256]], "UINT8")]},
            "The data of 'x' are no UINT8, expected whole numbers from 0 to 255.",
        ),
    ],
)
def test_what_is_wrong_is_told_in_one_line(url, path, asked, told):
    reply = post(url, path, asked)
    assert reply.status == 400
    assert told in reply.json["error"]
    assert "\n" not in reply.json["error"]
    assert len(reply.json["error"]) < 400


def test_outputs_that_are_no_numbers_are_an_error_and_not_bad_json():
    model = nacre.Sequential([nacre.Input((1,)), nacre.layers.Rescaling(1e30, name="far")])
    service = Service({"far": model})
    service.start()
    with running(service) as url:
        reply = post(url, "/predict", {"instances": [[1], [1e30]]})
        assert reply.status == 400
        assert reply.json["error"].startswith(
            "Instance 1 is not what the model was made for: its 'far' is no finite number"
        )
        assert post(url, "/predict", {"instances": [[1], 1]}).json == {"predictions": [[np.float32(1e30)]] * 2}
    service.stop()


def test_other_methods_are_named(url):
    reply = ask(url, "/v2/models/plain/infer")
    assert (reply.status, reply.headers["allow"]) == (405, "POST")
    assert ask(url, "/v2", method="HEAD", headers={"Connection": "close"}).status == 200


# ------------------------------------------------------------------ batches


class _Slow:
    """A model that says which batches it was given, and takes its time with the first."""

    name = "slow"
    input_names, output_names = ("x",), ("y",)

    def __init__(self):
        self.batches, self.go = [], threading.Event()

    def predict(self, x, batch_size, verbose):
        self.batches.append(len(x))
        assert self.go.wait(5)
        if (x == 13).any():
            raise nacre.errors.DataError("Thirteen.")
        return 2 * x


def _asked(model, rows_of, counts=None):
    worker = Worker(model, (counts if counts is not None else []).append)
    model.go.set()
    worker.start([np.zeros((1, 1), np.float32)])
    model.go.clear()
    del model.batches[:]

    async def all_of_them():
        jobs = []
        for n, rows in rows_of:
            jobs.append(asyncio.ensure_future(worker.predict([np.full((rows, 1), n, np.float32)])))
            while not model.batches:
                await asyncio.sleep(0.001)  # until the first is under way: the others wait
        await asyncio.sleep(0)
        model.go.set()
        return await asyncio.gather(*jobs, return_exceptions=True)

    found = asyncio.run(all_of_them())
    worker.stop()
    return found


def test_what_waits_is_computed_together_and_everybody_gets_his_own():
    model, counts = _Slow(), []
    found = _asked(model, [(n, 1) for n in range(8)] + [(8, 60), (9, 100)], counts)
    assert [y[0][0, 0] for y in found] == [2 * n for n in range(10)]
    assert [len(y[0]) for y in found] == [1] * 8 + [60, 100]
    assert counts == [1, 7, 60, 100]  # 7 + 60 are more than a batch
    assert model.batches == [1, 8, 64, 128]  # filled up to sizes that are ready


def test_one_bad_request_in_a_batch_harms_no_other():
    found = _asked(_Slow(), [(1, 1), (2, 1), (13, 1), (4, 1)])
    assert isinstance(found[2], Refused)
    assert (found[2].status, found[2].message) == (400, "Thirteen.")
    assert [y[0][0, 0] for y in found[:2] + found[3:]] == [2, 4, 8]


def test_too_much_waiting_is_refused_with_a_time_to_come_back():
    found = _asked(_Slow(), [(1, 1)] * 1030)
    refused = [one for one in found if isinstance(one, Refused)]
    assert len(refused) == 6
    assert (refused[0].status, refused[0].headers) == (503, ((b"retry-after", b"1"),))
    found = _asked(_Slow(), [(1, 40_000), (1, 1), (1, 40_000), (1, 70_000)])
    assert [one.status for one in found if isinstance(one, Refused)] == [503, 413]


@pytest.mark.parametrize("name", ["plain", "several", "people", "pets"])
def test_a_row_alone_and_in_any_batch_has_the_same_bits(service, name, rng):
    worker = service.models[name].worker
    many = 3 * BATCH + 5
    blank = service.models[name].signature.blank()
    inputs = [np.repeat(a, many, 0) for a in blank]
    inputs = [
        (rng.integers(0, 200, a.shape) if a.dtype == np.uint8 else rng.normal(size=a.shape)).astype(a.dtype)
        if a.dtype != np.int32
        else a
        for a in inputs
    ]
    whole = worker._predict(inputs)
    for size in (1, 2, 3, 7, 33, BATCH, BATCH + 1):
        pieces = [worker._predict([a[n : n + size] for a in inputs]) for n in range(0, many, size)]
        for number, y in enumerate(whole):
            assert np.array_equal(np.concatenate([piece[number] for piece in pieces]), y), size


def test_many_clients_at_once_get_what_they_would_get_alone(service, url, rng):
    x = rng.normal(size=(40, 4)).astype(np.float32)
    alone = _predicted(service, "plain", x)
    found = [None] * len(x)

    def client(n):
        for _ in range(5):
            found[n] = post(url, "/predict", {"instances": [x[n].tolist()]}).json["predictions"][0]

    threads = [threading.Thread(target=client, args=(n,)) for n in range(len(x))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array_equal(as_float32(found), alone)


# ------------------------------------------------------------------ counters, and the end


def test_counters_are_in_the_text_format_of_prometheus(url):
    for document in ({"instances": [X, X]}, {"instances": []}):
        post(url, "/v1/models/counted:predict", document)
    post(url, "/v1/models/counted:predict", {"instances": np.zeros((3, 4)).tolist()})
    reply = ask(url, "/metrics")
    assert reply.headers["content-type"].startswith("text/plain")
    lines = reply.body.decode().splitlines()
    assert all(re.fullmatch(r'# (HELP|TYPE) \w+ .*|\w+(\{(\w+="[^"\\]*",?)*\})? [0-9.e+-]+', line) for line in lines)
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    route = 'model="counted",route="/v1/models/{model}:predict"'
    assert values[f'nacre_requests_total{{{route},code="200"}}'] == "2"
    assert values[f'nacre_requests_total{{{route},code="400"}}'] == "1"
    assert values[f"nacre_request_duration_seconds_count{{{route}}}"] == "3"
    assert values['nacre_rows_total{model="counted"}'] == "5"
    assert values['nacre_batch_size_bucket{model="counted",le="2"}'] == "1"
    assert values['nacre_batch_size_bucket{model="counted",le="4"}'] == "2"
    assert values['nacre_queue_length{model="counted"}'] == "0"
    assert int(values["process_resident_memory_bytes"]) > 10_000_000


def test_a_server_that_stops_is_not_ready(service):
    other = Service({"plain": service.models["plain"].model})
    with running(other) as url:
        other.stopping = True
        assert ask(url, "/v2/health/ready").status == 503
        assert ask(url, "/v2/models/plain/ready").status == 503
        assert ask(url, "/v2/health/live").status == 200
        assert ask(url, "/v1/models/plain").json["model_version_status"][0]["state"] == "UNLOADING"


def test_a_prediction_under_way_is_finished_when_the_server_stops():
    model = nacre.Sequential([nacre.Input((4,)), nacre.layers.Dense(1)])
    service = Service({"plain": model})
    service.start()
    slow = service.models["plain"].worker._predict
    service.models["plain"].worker._predict = lambda inputs: (time.sleep(0.4), slow(inputs))[1]
    with running(service) as url:
        connection = connect(url)
        body = json.dumps({"instances": [X]}).encode()
        head = f"POST /predict HTTP/1.1\r\nHost: {url[7:]}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        time.sleep(0.1)
    with connection:
        assert read(connection).status == 200
    service.stop()
