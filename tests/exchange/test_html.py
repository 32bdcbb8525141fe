"""A model as a page: a real browser without a network opens it from disk, and it predicts what the model predicts."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect, sync_playwright

import nacre
from nacre import datasets
from nacre.backends.reference import evaluate
from nacre.data import Features, Pictures, Table
from nacre.errors import Limitation
from nacre.exchange import html
from nacre.exchange.traced import traced
from nacre.ir import Graph, Input, TensorType
from nacre.layers import Dense, Dropout, Flatten, LayerNormalization, Rescaling, Residual
from nacre.ops import TABLE
from nacre.recipes import table_network

PIECES = Path(html.__file__).parent / "pieces"
SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
THREE = [(0.3, 0.25), (0.65, 0.25), (0.5, 0.45), (0.65, 0.6), (0.6, 0.75), (0.3, 0.8)]


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        message = "no Chromium to look with (Debian and Ubuntu: apt install chromium)"
        (pytest.fail if os.environ.get("NACRE_BROWSER") == "required" else pytest.skip)(message)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture
def opened(browser):
    """Opens a file without a network; whatever goes wrong on the page fails the test."""
    contexts, wrong = [], []

    def open_(path, **how):
        contexts.append(browser.new_context(offline=True, viewport={"width": 1000, "height": 700}, **how))
        page = contexts[-1].new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "request",
            lambda request: wrong.append(request.url) if not request.url.startswith(("file:", "data:")) else None,
        )
        page.goto(path.as_uri())
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not wrong, "\n".join(wrong)


@pytest.fixture(scope="module")
def digits():
    """A network that knows digits."""
    nacre.utils.set_random_seed(0)
    (x, y), _ = datasets.digits()
    model = nacre.Sequential(
        [nacre.Input((8, 8)), Rescaling(1 / 16), Flatten(), Dense(64, "relu"), Dense(10, "softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=25, verbose=0)
    return model


def _draw(page, points):
    box = page.locator("#pad").bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=5)
    page.mouse.up()


def _shares(page):
    """The probabilities that are shown."""
    return np.array([float(text.split()[0]) / 100 for text in page.locator(".share").all_inner_texts()])


def _given(page):
    """What the page makes of what is in the form."""
    return [np.array(one) for one in page.evaluate("row().map((one) => Array.from(one))")]


def test_a_drawn_digit_is_told_as_the_model_tells_it(digits, opened, tmp_path):
    written = html.write(digits, tmp_path / "my digits.html")
    assert written.difference < 2e-4
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for scheme, width in (("light", 1000), ("dark", 1000), ("light", 390)):
        page = opened(tmp_path / "my digits.html", color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        expect(page.get_by_text("Nothing is drawn yet.")).to_be_visible()
        _draw(page, THREE)
        expect(page.locator(".said")).to_have_text("3")
        page.screenshot(path=SCREENSHOTS / f"exchange-html-{scheme}-{width}.png", full_page=True)
    (picture,) = _given(page)
    probabilities = digits.predict(picture.reshape(1, 8, 8).astype(np.float32))[0]
    assert np.abs(_shares(page) - probabilities).max() <= 0.0005 + written.difference
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_text("Nothing is drawn yet.")).to_be_visible()


def test_the_pad_can_be_drawn_on_with_keys_alone(digits, opened, tmp_path):
    html.write(digits, tmp_path / "digits.html")
    page = opened(tmp_path / "digits.html")
    page.keyboard.press("Tab")
    expect(page.get_by_role("application", name="Draw a digit")).to_be_focused()
    for _ in range(3):
        page.keyboard.press("ArrowUp")
    for _ in range(6):
        page.keyboard.press("Shift+ArrowDown")
    expect(page.locator(".said")).to_have_text("1")
    expect(page.get_by_role("status")).to_have_text("1")


def test_a_digit_is_brought_to_the_box_and_the_center_of_mass_of_mnist(opened, tmp_path):
    layers = [nacre.Input((784,)), Dense(128, "relu"), Dense(10, "softmax")]
    written = html.write(nacre.Sequential(layers), tmp_path / "mnist.html")
    assert written.nbytes < 400_000
    assert written.nbytes == (tmp_path / "mnist.html").stat().st_size
    page = opened(tmp_path / "mnist.html")
    pictures = []
    for x, y, size in ((0.1, 0.05, 0.3), (0.5, 0.3, 0.45)):
        page.get_by_role("button", name="Clear").click()
        _draw(page, [(x + size * a, y + size * b) for a, b in THREE])
        pictures.append(_given(page)[0].reshape(28, 28))
    for ink in pictures:
        assert ink.min() == 0
        assert 0.9 < ink.max() <= 1
        rows = np.flatnonzero(ink.max(1) > 0.1)
        assert 19 <= np.ptp(rows) + 1 <= 21
        middle = (ink.sum(0) @ (np.arange(28) + 0.5), ink.sum(1) @ (np.arange(28) + 0.5)) / ink.sum()
        assert np.abs(middle - 14).max() < 0.3
    assert np.corrcoef(pictures[0].ravel(), pictures[1].ravel())[0, 1] > 0.75


def test_a_table_is_encoded_as_its_features_do_it(opened, tmp_path):
    rng = np.random.default_rng(0)
    n = 200
    days = np.datetime64("2019-03-05") + rng.integers(2000, size=n)
    table = Table.of(
        {
            "age": [None if k % 9 == 0 else float(v) for k, v in enumerate(rng.normal(40, 9, n))],
            "income": np.exp(rng.normal(9, 2.5, n)).tolist(),
            "city": [["Oslo", "Lima", None, "10"][v] for v in rng.integers(4, size=n)],
            "member": [["true", "false"][v] for v in rng.integers(2, size=n)],
            "since": [str(d) for d in days],
            "price": rng.normal(100, 5, n).tolist(),
            "paid": [["yes", "no"][v] for v in rng.integers(2, size=n)],
        }
    )
    model = table_network(Features.fit(table, ["paid", "price"]), [16], "tanh", 0.0)
    model.set_weights([w + rng.normal(0, 0.3, w.shape) for w in model.get_weights()])
    html.write(model, tmp_path / "table.html")
    page = opened(tmp_path / "table.html")
    rows = [
        {"age": "33.5", "income": "20000", "city": "Lima", "member": "false", "since": "2021-02-28"},
        {"age": "", "income": "-3", "city": "", "member": "true", "since": "1969-12-31"},
        {"age": "9e9", "income": "0", "city": "10", "member": "", "since": "2024-02-29"},
    ]
    for row in rows:
        for name, value in row.items():
            field = page.get_by_label(re.compile(f"^{name}"))
            (field.select_option if name in ("city", "member") else field.fill)(value)
        kinds = {"age": float, "income": float}
        values = {name: [kinds.get(name, str)(v) if v else None] for name, v in row.items()}
        one = Table.of(values | {"age": np.array([float(row["age"] or "nan")])})
        inputs = model.features.inputs(one)
        for found, name in zip(_given(page), model.input_names, strict=True):
            assert np.abs(found - inputs[name][0]).max() < 1e-6, (name, row)
        paid, price = model.predict(one)
        assert np.abs(_shares(page) - paid[0]).max() < 0.002
        assert float(page.locator(".said").nth(1).inner_text()) == pytest.approx(float(price[0, 0]), abs=0.01)


def test_several_inputs_of_numbers_have_a_field_each_and_say_what_is_wrong(opened, tmp_path):
    a, b = nacre.Input((2,), name="first"), nacre.Input((3,), name="second")
    model = nacre.Model([a, b], nacre.layers.Concatenate()([a, b]))
    html.write(model, tmp_path / "numbers.html")
    page = opened(tmp_path / "numbers.html")
    page.get_by_label(re.compile("first")).fill("1.5, -2")
    page.get_by_label(re.compile("second")).fill("3 4")
    expect(page.get_by_role("alert")).to_have_text("second has 2 numbers, expected 3.")
    page.get_by_label(re.compile("second")).fill("3 4 1e-9")
    expect(page.locator(".said")).to_have_text("1.5, -2, 3, 4, 1e-9")
    page.get_by_label(re.compile("second")).fill("3 4 x")
    expect(page.get_by_role("alert")).to_contain_text("no number")


def test_a_picture_that_is_chosen_is_cut_to_the_size_and_colors_that_the_model_takes(opened, tmp_path):
    from PIL import Image

    model = nacre.Sequential([nacre.Input((4, 6, 3)), Rescaling(1 / 255), Flatten(), Dense(2, "softmax")])
    model.features = Pictures(4, 6, "rgb", "crop", ["red", "blue"])
    html.write(model, tmp_path / "photos.html")
    pixels = np.zeros((40, 100, 3), np.uint8)
    pixels[:, :50, 0], pixels[:, 50:, 2] = 250, 200
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    page = opened(tmp_path / "photos.html")
    page.get_by_label("Picture").set_input_files(tmp_path / "photo.png")
    expect(page.locator(".said")).to_be_visible()
    (found,) = _given(page)
    found = found.reshape(4, 6, 3)
    assert np.abs(found[:, :2] - [250, 0, 0]).max() <= 1
    assert np.abs(found[:, 4:] - [0, 0, 200]).max() <= 1
    assert np.abs(_shares(page) - model.predict(found[None].astype(np.uint8))[0]).max() < 0.002


def test_names_of_others_are_text_and_nothing_else_runs(opened, tmp_path):
    evil = "</script><img src=x onerror=\"document.title='broken'\">"
    model = nacre.Sequential([nacre.Input((4, 6, 1)), Flatten(), Dense(2, "softmax")])
    model.features = Pictures(4, 6, "grey", "crop", [evil, "{{ 7 * 7 }}"])
    html.write(model, tmp_path / "it's <b>&.html")
    page = opened(tmp_path / "it's <b>&.html")
    _draw(page, THREE)
    expect(page.locator(".bars .name").first).to_have_text(evil)
    expect(page.locator(".bars .name").nth(1)).to_have_text("{{ 7 * 7 }}")
    expect(page.get_by_role("heading", name="it's <b>&")).to_be_visible()
    assert page.title() == "it's <b>&"
    assert page.locator("img, b").count() == 0
    policy = page.locator("meta[http-equiv]").get_attribute("content")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_the_policy_keeps_scripts_out_that_are_not_the_pages_own(browser, digits, tmp_path):
    html.write(digits, tmp_path / "digits.html")
    page = browser.new_page()
    page.goto((tmp_path / "digits.html").as_uri())
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'window.broken = 1'}))")
    assert page.evaluate("window.broken") is None
    page.close()


def _interpreter(browser):
    page = browser.new_page()
    page.add_script_tag(content=(PIECES / "network.js").read_text())
    return page


def _computed(page, graph, inputs, outputs, weights, arrays):
    """What the interpreter makes of a row."""
    network, packed = html.described(graph, inputs, outputs, weights, False)
    flat = [array.ravel().tolist() for array in arrays]
    found = page.evaluate(
        "([network, packed, given]) => new Network(network, packed).predict(given).map((y) => Array.from(y, String))",
        [network, packed, flat],
    )
    numbers = [[float(text.replace("Infinity", "inf")) for text in one] for one in found]
    return [np.array(one) for one in numbers]


def test_the_interpreter_knows_every_primitive_as_the_reference_does(browser):
    page = _interpreter(browser)
    for name in sorted(set(TABLE) - set(html.GAPS)):
        for sample in TABLE[name].samples:
            inputs = {f"x{k}": Input(f"x{k}", a.type) for k, a in enumerate(sample.arguments)}
            y = TABLE[name](*inputs.values(), **sample.attrs)
            graph = Graph(list(inputs.values()), {"y": y})
            arrays = [a.draw(k) for k, a in enumerate(sample.arguments)]
            (found,) = _computed(page, graph, inputs, graph.outputs, {}, arrays)
            expected = evaluate(graph, dict(zip(inputs, arrays, strict=True)))["y"].ravel().astype(np.float64)
            assert np.allclose(found, expected, rtol=2e-6, atol=1e-5 if name in ("matmul", "reduce_sum") else 2e-7), (
                name
            )
    page.close()


def test_the_interpreter_treats_zeros_infinities_and_nan_as_the_reference_does(browser):
    page = _interpreter(browser)
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 3.0, -3.0, 1e-30], np.float32)
    a, b = (grid.ravel() for grid in np.meshgrid(x, x))
    inputs = {name: Input(name, TensorType(a.shape)) for name in "ab"}
    one = ("exp", "expm1", "log", "log1p", "sqrt", "sin", "tanh", "sigmoid", "relu", "floor", "sign", "isfinite", "erf")
    two = ("power", "divide", "maximum", "minimum", "equal", "not_equal", "less", "less_equal")
    outputs = {name: TABLE[name](inputs["a"]) for name in one} | {name: TABLE[name](*inputs.values()) for name in two}
    graph = Graph(list(inputs.values()), outputs)
    given = {"a": a, "b": b}
    with np.errstate(all="ignore"):
        expected = evaluate(graph, given)
    network, packed = html.described(graph, inputs, outputs, {}, False)
    found = page.evaluate(
        "([network, packed, given]) => new Network(network, packed)"
        ".predict(given.map((x) => x.map((t) => Number(t)))).map((y) => Array.from(y, String))",
        [network, packed, [[str(float(n)).replace("inf", "Infinity") for n in x] for x in (a, b)]],
    )
    for name, texts in zip(outputs, found, strict=True):
        numbers = np.array([float(text.replace("Infinity", "inf")) for text in texts])
        assert np.allclose(numbers, expected[name].astype(np.float64), rtol=1e-5, atol=1e-7, equal_nan=True), name
    page.close()


def test_networks_of_all_kinds_compute_the_same_in_the_page(browser, rng):
    (x, _), _ = datasets.digits()
    rows = x[:20].astype(np.float32)
    bodies = [
        [Flatten(), Dense(40, "gelu"), nacre.layers.BatchNormalization(), Dense(24, "selu")],
        [LayerNormalization(axis=[1, 2]), Flatten(), Dense(24, "tanh"), Residual([Dense(12, "sigmoid"), Dense(24)])],
        [Flatten(), Dense(30, "softplus", dtype="mixed_bfloat16"), Dense(24, "mish")],
        [nacre.layers.Permute((2, 1)), Dense(5, "softmax"), Flatten(), Dense(24, "elu"), Dropout(0.5)],
    ]
    page = _interpreter(browser)
    for body in bodies:
        model = nacre.Sequential([nacre.Input((8, 8)), Rescaling(1 / 16), *body, Dense(10, "softmax")])
        model.set_weights([w + rng.uniform(-0.05, 0.1, w.shape) for w in model.get_weights()])
        one = traced(model, "HTML")
        found = [_computed(page, one.graph, one.inputs, one.outputs, one.weights, [row])[0] for row in rows]
        assert np.abs(np.stack(found) - model.predict(rows)).max() < (
            1e-3 if "bfloat16" in str(body[1].dtype) else 2e-6
        )
    page.close()


def test_weights_of_very_different_sizes_are_not_shortened(opened, tmp_path):
    model = nacre.Sequential([nacre.Input((2,)), Dense(2), Dense(2, "tanh")])
    model.set_weights(
        [np.array([[1e6, 1e-3], [2.0, 0.1]]), np.zeros(2), np.array([[0.0, 0.0], [1.0, 9.0]]), np.zeros(2)]
    )
    written = html.write(model, tmp_path / "whole.html")
    assert written.difference is None
    assert "float32" in written.notes[0]
    page = opened(tmp_path / "whole.html")
    page.get_by_label(re.compile("input")).fill("1, 2")
    expect(page.locator(".said")).to_have_text(re.compile("^0.1983"))
    assert model.predict(np.array([[1.0, 2.0]]))[0, 0] == pytest.approx(0.1983, abs=1e-3)


def test_a_model_with_parts_that_no_model_file_could_hold_is_a_page_all_the_same(opened, tmp_path):
    model = nacre.Sequential([nacre.Input((2,)), nacre.layers.Lambda(lambda x: x * x), Dense(1, use_bias=False)])
    model.set_weights([np.array([[1.0], [0.5]])])
    weights = model.get_weights()[0].copy()
    assert html.write(model, tmp_path / "own.html").difference < 1e-3
    assert (model.get_weights()[0] == weights).all()
    page = opened(tmp_path / "own.html")
    page.get_by_label(re.compile("input")).fill("2, 4")
    expect(page.locator(".said")).to_have_text(re.compile(r"^(12|11\.9999)"))


def test_the_same_model_gives_the_same_page_and_a_random_one_none(digits, tmp_path):
    pages = []
    for _ in range(2):
        assert digits.export(tmp_path / "digits.html").format == "html"
        pages.append((tmp_path / "digits.html").read_bytes())
    assert pages[0] == pages[1]
    x = nacre.Input((3,))
    with pytest.raises(Limitation, match="draws random numbers"):
        html.write(nacre.Model(x, Dropout(0.5)(x, training=True)), tmp_path / "random.html")
    seed, step = (Input(name, TensorType((), "uint32")) for name in ("seed", "step"))
    y = TABLE["random_uniform"](seed, step, stream=0, shape=(3,))
    with pytest.raises(Limitation, match="random_uniform"):
        html.described(Graph([seed, step], {"y": y}), {}, {"y": y}, {}, True)
    assert not (tmp_path / "random.html").exists()
