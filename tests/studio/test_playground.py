"""The playground as somebody meets it: built by hand, played, changed, shared."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from playwright.sync_api import APIResponse, Page, expect
from tests.studio.test_play import TABLE

from nacre import models


@pytest.fixture
def ground(page: Page, studio: str) -> Page:
    """The playground, open."""
    page.goto(f"{studio}#/playground")
    page.get_by_role("button", name="Play", exact=True).wait_for()
    return page


def figure(page: Page, name: str):
    return page.locator(".pg-figures div").filter(has=page.get_by_text(name, exact=True)).locator("dd")


def play_beyond(page: Page, step: int) -> None:
    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function(
        "n => Number(document.querySelectorAll('.pg-figures dd')[1].textContent.replace(',', '')) > n", arg=step
    )


def pause(page: Page) -> int:
    """Stop, and wait for the last frame; the step that was reached."""
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("status").filter(has_text="Paused")).to_be_attached()
    step = json.loads(asked(page, "share").json()["recipe"])["step"]
    expect(figure(page, "step")).to_have_text(f"{step:,}")
    return step


def asked(page: Page, what: str) -> APIResponse:
    return page.request.get(
        page.evaluate(
            "what => `${location.origin}/api/playground/${sessionStorage.getItem('nacre-play')}/${what}`", what
        )
    )


def model_of(page: Page, path):
    path.write_bytes(asked(page, "model").body())
    return models.load_model(path)


def test_a_network_is_built_by_hand_and_learns(ground: Page, tmp_path, shot):
    ground.get_by_role("button", name="Add a layer").click()
    ground.get_by_role("button", name="One unit more in hidden layer 2").click()
    ground.get_by_label("Units of hidden layer 3").fill("5")
    ground.get_by_label("Units of hidden layer 3").press("Enter")
    expect(ground.get_by_role("button", name="Hidden layer 3, unit 5")).to_be_visible()
    play_beyond(ground, 20)
    ground.get_by_label("Activation of hidden layer 1").select_option("relu")
    ground.get_by_role("button", name="Remove hidden layer 2").click()
    expect(ground.get_by_role("button", name="Hidden layer 3, unit 1")).to_have_count(0)
    ground.get_by_label("Batch size").fill("8")
    ground.get_by_label("Batch size").press("Enter")
    before = pause(ground)
    expect(ground.get_by_label("Batch size")).to_have_value("8")
    expect(ground.get_by_role("button", name=re.compile(r"Hidden layer 2, unit \d"))).to_have_count(5)
    ground.get_by_role("button", name="Step", exact=True).click()
    expect(figure(ground, "step")).to_have_text(str(before + 1))
    epoch = int(figure(ground, "epoch").inner_text())
    ground.get_by_role("button", name="Epoch").click()
    expect(figure(ground, "epoch")).to_have_text(str(epoch + 1))
    model = model_of(ground, tmp_path / "model")
    assert [w.shape for w in model.get_weights()[::2]] == [(2, 4), (4, 5), (5, 1)]
    assert model.layers[0].activation.__name__ == "relu"
    shot(ground, "playground")


def test_a_weight_is_set_by_hand_with_the_keyboard(ground: Page, tmp_path):
    unit = ground.get_by_role("button", name="Hidden layer 1, unit 2")
    unit.focus()
    expect(ground.get_by_text("What unit 2 of layer 1 gives over the plane")).to_be_visible()
    unit.press("Enter")
    field = ground.get_by_role("group", name="Weights of the chosen unit").get_by_label("y")
    field.fill("-1.5")
    field.press("Enter")
    expect(ground.get_by_role("group", name="Weights of the chosen unit").get_by_label("bias")).to_have_value("0.000")
    ground.get_by_role("button", name="Step", exact=True).click()
    ground.get_by_role("button", name="Begin again").focus()
    expect(figure(ground, "step")).to_have_text("1")
    expect(field).to_have_value(re.compile(r"-1\.[45]"))
    ground.get_by_role("button", name="Share").click()
    script = ground.get_by_label("Python script")
    expect(script).to_contain_text("set_weight(model, 'hidden_1', 'kernel', (1, 1), -1.5)")


def test_a_line_says_its_weight(ground: Page):
    units = [ground.locator(".pg-unit.input").first, ground.get_by_role("button", name="Hidden layer 1, unit 1")]
    ends = [unit.bounding_box() for unit in units]
    (x1, y1), (x2, y2) = ((b["x"] + b["width"] / 2, b["y"] + b["height"] / 2) for b in ends)
    ground.mouse.move((x1 + x2) / 2, (y1 + y2) / 2)
    expect(ground.locator(".pg-tip")).to_have_text(re.compile(r"x → unit 1: -?\d"))
    ground.mouse.click((x1 + x2) / 2, (y1 + y2) / 2)
    expect(ground.get_by_role("heading", name="Hidden layer 1, unit 1")).to_be_visible()


def test_a_function_is_typed(ground: Page, shot):
    ground.get_by_role("button", name="Function").click()
    field = ground.get_by_label("Function of x and y")
    field.fill("import os")
    field.press("Enter")
    expect(ground.get_by_role("alert")).to_contain_text("is no formula of x and y")
    field.fill("sin(x) + y/2")
    field.press("Enter")
    expect(ground.get_by_text("test mean error")).to_be_visible()
    expect(ground.get_by_role("alert")).to_have_count(0)
    play_beyond(ground, 30)
    pause(ground)
    shot(ground, "playground-function")


def test_a_table_is_dropped(ground: Page, shot):
    ground.get_by_role("button", name="Table").click()
    ground.locator(".pg-table").evaluate(
        """(node, text) => { const transfer = new DataTransfer(); transfer.items.add(new File([text], "rows.csv"));
           node.dispatchEvent(new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true})); }""",
        TABLE,
    )
    expect(ground.get_by_label("Predict")).to_have_value("kind")
    ground.get_by_label("Across").select_option("b")
    expect(ground.locator(".pg-across i")).to_have_text("b")
    expect(ground.locator(".pg-key")).to_contain_text("u")
    play_beyond(ground, 40)
    pause(ground)
    shot(ground, "playground-table")


def test_a_link_opens_to_the_same_step_and_weights(ground: Page, studio: str, tmp_path, shot):
    play_beyond(ground, 15)
    ground.get_by_label("Noise").fill("0.35")
    ground.get_by_label("Optimizer").select_option("momentum")
    at = pause(ground)
    first = model_of(ground, tmp_path / "first")
    ground.get_by_role("button", name="Share").click()
    expect(ground.get_by_label("Python script")).to_contain_text("def circles(")
    link = ground.get_by_label("Link to this play").input_value()
    shot(ground, "playground-share")
    assert link.startswith(studio.partition("?")[0])  # and so without the token
    assert "secret" not in link
    ground.goto("about:blank")
    ground.goto(link)
    expect(figure(ground, "step")).to_have_text(f"{at:,}")
    expect(ground.get_by_label("Optimizer")).to_have_value("momentum")
    again = model_of(ground, tmp_path / "again")
    for a, b in zip(first.get_weights(), again.get_weights(), strict=True):
        assert np.array_equal(a, b)


def test_a_play_waits_while_another_view_is_open(ground: Page):
    play_beyond(ground, 10)
    at = pause(ground)
    ground.get_by_role("link", name="Runs", exact=True).click()
    expect(ground.get_by_role("button", name="Play", exact=True)).to_have_count(0)
    ground.get_by_role("link", name="Playground", exact=True).click()
    expect(figure(ground, "step")).to_have_text(f"{at:,}")
    ground.reload()
    expect(figure(ground, "step")).to_have_text(f"{at:,}")
    ground.get_by_role("button", name="Begin again").click()
    expect(figure(ground, "step")).to_have_text("0")


def test_digits_show_what_is_taken_for_what_in_the_dark(ground: Page, shot):
    ground.get_by_role("button", name="Change between light and dark").click()
    ground.get_by_role("button", name="Digits").click()
    play_beyond(ground, 10)
    pause(ground)
    counts = [int(text or 0) for text in ground.locator(".pg-confusion td").all_inner_texts()]
    assert sum(counts) == 539
    expect(ground.locator(".pg-said")).to_have_count(20)
    shot(ground, "playground-digits")


def test_nothing_is_cut_off_on_a_narrow_page(ground: Page, shot):
    ground.set_viewport_size({"width": 390, "height": 800})
    expect(ground.get_by_role("button", name="Play", exact=True)).to_be_visible()
    assert ground.evaluate("document.scrollingElement.scrollWidth") <= 390
    ground.wait_for_function("(graph => graph.scrollWidth <= graph.clientWidth)(document.querySelector('.pg-graph'))")
    shot(ground, "playground-narrow")


def test_an_error_is_said_where_it_moves_nothing_and_can_be_closed(ground: Page):
    ground.get_by_role("button", name="Function").click()
    field = ground.get_by_label("Function of x and y")
    field.wait_for()
    before = field.bounding_box()
    field.fill("sin(x) + z")
    field.press("Enter")
    expect(ground.get_by_role("alert")).to_contain_text("'z' is not known here")
    assert field.bounding_box() == before
    ground.get_by_role("button", name="Close").click()
    expect(ground.get_by_role("alert")).to_have_count(0)
    expect(ground.locator("#main")).to_be_focused()


def test_a_layer_that_is_removed_leaves_the_focus_in_the_network(ground: Page):
    ground.get_by_role("button", name="Remove hidden layer 2").press("Enter")
    expect(ground.get_by_role("button", name="Remove hidden layer 2")).to_have_count(0)
    expect(ground.get_by_role("button", name="Add a layer")).to_be_focused()
