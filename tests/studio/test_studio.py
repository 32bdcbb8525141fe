"""The frame around the views."""

from __future__ import annotations

from playwright.sync_api import Page, expect


def test_each_view_opens_from_the_head_of_the_page(page: Page, studio: str):
    page.goto(studio)
    for name in ("Runs", "Inside", "Lessons", "Playground"):
        page.get_by_role("link", name=name, exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        expect(page.get_by_role("link", name=name, exact=True)).to_have_attribute("aria-current", "page")


def test_dark_and_light_are_chosen_and_kept(page: Page, studio: str):
    page.goto(studio)
    page.get_by_role("button", name="Change between light and dark").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"


def test_a_view_that_is_none_is_said(page: Page, studio: str):
    page.goto(f"{studio}#/nothing")
    expect(page.get_by_role("alert")).to_contain_text("nothing")
