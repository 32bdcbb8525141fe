"""The page's modules have types, tests of their own, and library files that are those of their makers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from nacre.studio.app import PAGE
from nacre.studio.figures import Figure

HERE = Path(__file__).parent
GUESTS = HERE / "node_modules"
VENDOR = {
    "preact.mjs": "preact/dist/preact.mjs",
    "hooks.mjs": "preact/hooks/dist/hooks.mjs",
    "signals.mjs": "@preact/signals/dist/signals.mjs",
    "signals-core.mjs": "@preact/signals-core/dist/signals-core.mjs",
    "htm.mjs": "htm/dist/htm.mjs",
    "uPlot.mjs": "uplot/dist/uPlot.esm.js",
    "uPlot.css": "uplot/dist/uPlot.min.css",
}


def absent(what: str, how: str) -> None:
    """Skip, and say what to do; where a browser is required, what checks its modules is too."""
    message = f"no {what} ({how})"
    if os.environ.get("NACRE_BROWSER") == "required":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture
def guests() -> Path:
    if not GUESTS.is_dir():
        absent("packages of node", "npm ci --prefix tests/studio")
    return GUESTS


def test_the_types_of_the_modules_are_in_order(guests):
    run = subprocess.run([guests / ".bin" / "tsc", "-p", HERE], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


def test_what_is_copied_is_what_its_makers_gave(guests):
    copied = {file.name for file in (PAGE / "vendor").iterdir()} - {"LICENSES.txt"}
    assert copied == set(VENDOR)
    for name, origin in VENDOR.items():
        assert (PAGE / "vendor" / name).read_bytes() == (guests / origin).read_bytes(), name


def test_the_modules_pass_their_own_tests():
    node = shutil.which("node")
    if node is None:
        absent("node", "Debian and Ubuntu: apt install nodejs")
    run = subprocess.run([str(node), "--test", HERE / "page"], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


def test_the_page_draws_each_kind_of_figure():
    text = (PAGE / "lib" / "figures" / "figure.js").read_text("utf-8")
    drawn = re.findall(r"(\w+): \w+", text.partition("KINDS = {")[2].partition("}")[0])
    assert sorted(drawn) == sorted(kind.__struct_config__.tag for kind in Figure.__subclasses__())


def test_the_page_loads_nothing_from_elsewhere():
    for file in PAGE.rglob("*"):
        if file.suffix in (".js", ".css", ".html") and file.parent.name != "vendor":
            for word in file.read_text("utf-8").split():
                assert not word.strip("\"'(`").startswith(("http://", "https://", "//cdn")) or "w3.org" in word, (
                    file,
                    word,
                )
