"""The frame around the views."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import pytest
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


def test_where_there_are_no_runs_the_page_begins_one(page: Page, studio: str):
    page.goto(f"{studio}#/runs")
    page.get_by_role("button", name="Train one on handwritten digits").click()
    expect(page.get_by_role("row").filter(has_text="digits")).to_contain_text("finished", timeout=60_000)


def test_an_address_that_is_badly_written_breaks_nothing(page: Page, studio: str):
    page.goto(f"{studio}#/runs/%zz")
    expect(page.get_by_role("alert")).to_contain_text("There is no run called “%zz”.")


def test_without_the_token_a_page_reads_and_changes_nothing(page: Page, studio: str):
    page.goto(studio.partition("?")[0])
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    status = page.evaluate(
        "fetch('api/inside/train', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: '{}'}).then(r => r.status)"
    )
    assert status == 401
    page.goto(studio)
    assert "token" not in page.url


@pytest.mark.parametrize(
    "path",
    [
        "static/../app.py",
        "static/%2e%2e/app.py",
        "static/..%2fapp.py",
        "static//etc/passwd",
        "static/vendor",
        "static/",
    ],
)
def test_no_path_leaves_the_page(studio: str, path: str):
    with pytest.raises(urllib.error.HTTPError) as found:
        urllib.request.urlopen(studio.partition("?")[0] + path)
    with found.value as answer:
        assert answer.code == 404


def test_the_command_says_where_it_is_and_ends_by_ctrl_c(tmp_path):
    words = [sys.executable, "-m", "nacre", "studio", str(tmp_path), "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        url = json.loads(process.stdout.readline())["url"]
        with urllib.request.urlopen(url) as answer:
            policy = answer.headers["content-security-policy"]
            assert b"importmap" in answer.read()
        assert "'unsafe" not in policy
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


def test_ctrl_c_ends_the_command_in_the_middle_of_a_long_step(tmp_path):
    words = [sys.executable, "-m", "nacre", "studio", str(tmp_path), "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        url, _, token = json.loads(process.stdout.readline())["url"].partition("?token=")

        def post(path, body):
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
            asked = urllib.request.Request(f"{url}api/playground/{path}", json.dumps(body).encode(), headers)
            with urllib.request.urlopen(asked, timeout=60) as answer:
                return json.load(answer)

        hidden = [{"name": f"hidden_{k}", "units": 900} for k in (1, 2, 3)]
        settings = {"hidden": hidden, "batch_size": 1200}
        play = post("open", {"recipe": {"settings": settings, "data": {"source": "digits", "rows": 1797}}})["id"]
        said = []

        def step():
            try:
                post(f"{play}/step", {"batches": 100_000})
            except urllib.error.HTTPError as error:
                with error:
                    said.append(json.load(error)["error"])

        stepping = threading.Thread(target=step)
        stepping.start()
        with urllib.request.urlopen(f"{url}api/playground/{play}/events", timeout=60) as events:
            events.readline()
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0
        stepping.join()
        assert said in (["This play has ended."], [])  # none if it had not been asked yet
