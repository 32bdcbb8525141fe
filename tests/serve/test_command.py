"""nacre serve, from a shell and in a browser."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import click.testing
import numpy as np
import pytest
from served import png
from talk import ask

import nacre
from nacre.cli import main
from nacre.cli.serve import serve


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = nacre.Sequential([nacre.Input((3,)), nacre.layers.Dense(2, "softmax")])
    for name in ("my-run", "other-run"):
        Path(name).mkdir()
        model.save(Path(name, "model.safetensors"))
    return tmp_path


@contextmanager
def _serving(*words):
    command = [sys.executable, "-m", "nacre", "serve", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            yield child, child.stdout.readline()
        finally:
            child.terminate()


def _examples(program):
    lines = [line.strip() for line in (serve.help or "").splitlines()]
    return [line for line in lines if line.startswith(program)]


def test_the_examples_in_the_help_work(folder):
    asked = [shlex.split(line) for line in _examples("nacre serve")]
    assert [words[2:] for words in asked] == [
        ["my-run"],
        ["my-run", "--port", "8765"],
        ["digits=my-run", "houses=other-run/model.safetensors"],
    ]
    with _serving(*asked[2][2:], "--json", "--port", "0") as (child, line):
        told = json.loads(line)
        assert told["models"] == ["digits", "houses"]
        url = told["url"].rstrip("/")
        assert ask(url, "/v2/models/houses/ready").status == 200
        child.send_signal(signal.SIGINT)
        assert child.wait(10) == 0
        assert child.stderr.read() == ""
    with _serving("my-run", "--port", "0") as (_, line):
        url = re.search(r"Serving my-run at (http://\S+)/$", line)[1]
        for words in _examples("curl"):
            given = shlex.split(words.replace("localhost:8765", url))
            done = subprocess.run([*given, "--fail", "--silent"], capture_output=True, text=True, check=True)
            assert set(json.loads(done.stdout)) & {"predictions", "platform"}


def test_mistakes_are_told_in_one_line(folder):
    def told(*words):
        result = click.testing.CliRunner().invoke(main, ["serve", *words])
        assert result.exit_code == 2, result.output
        return result.stderr

    assert "There is no model nowhere" in told("nowhere")
    assert "same name" in told("my-run", "my-run")
    assert "A model's name is letters" in told("a/b=my-run")
    assert "There is no host called 'no such host'" in told("my-run", "--host", "no such host")


def test_elsewhere_every_request_needs_the_token(folder):
    with _serving("my-run", "--host", "0.0.0.0", "--port", "0") as (_, line):
        token = re.search(r"token=(\S+)", line)[1]
        port = re.search(r":(\d+)/", line)[1]
        url = f"http://127.0.0.1:{port}"
        assert ask(url, "/v2").status == 401
        assert ask(url, "/v2", headers={"Authorization": f"Bearer {token}"}).status == 200
        with urllib.request.urlopen(f"{url}/?token={token}") as page:
            assert "HttpOnly" in page.headers["Set-Cookie"]


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    if (chromium := shutil.which("chromium")) is None:
        pytest.skip("there is no Chromium here")
    with playwright.sync_playwright() as started:
        yield started.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])


def test_the_page_predicts_by_keyboard_by_pen_and_from_a_file(url, service, browser, tmp_path):
    page = browser.new_page()
    wrong, asked = [], []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{url}/?model=people")
    page.focus("input")
    page.keyboard.press("Enter")
    page.wait_for_selector(".said")
    row = {"age": 33, "city": "Oslo", "born": "2024-01-01"}
    (said,) = json.loads(_sent(url, "people", row))["predictions"]
    assert page.locator(".said").all_inner_texts()[0] == ["no", "yes"][int(np.argmax(said["paid"]))]
    assert page.locator(".share").first.inner_text() == f"{100 * max(said['paid']):.1f} %"

    page.goto(f"{url}/?model=digits")
    page.focus("#pad")
    for key in (" ", "ArrowDown", "ArrowDown", " "):
        page.keyboard.press(key)
    page.wait_for_selector(".said")
    assert page.locator(".bars li").count() == 10

    (tmp_path / "a.png").write_bytes(png((200, 10, 10)))
    page.goto(f"{url}/?model=pets")
    page.set_input_files("#file", tmp_path / "a.png")
    page.wait_for_selector(".said")
    assert "<b>dog</b>" in page.locator(".bars .name").all_inner_texts()  # as text

    page.goto(f"{url}/")
    page.fill("textarea", "1, 2, 3")
    page.click("text=Predict")
    page.wait_for_function("document.getElementById('error').textContent")
    assert page.inner_text("#error") == "x has 3 numbers, expected 4."
    assert wrong == []
    assert all(one.startswith((url, "data:")) for one in asked)


def _sent(url, model, row):
    body = json.dumps({"instances": [row]}).encode()
    return ask(url, f"/v1/models/{model}:predict", "POST", body, {"Content-Type": "application/json"}).body
