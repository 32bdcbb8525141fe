"""What the documents show works."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(page for page in (ROOT / "docs").rglob("*.md") if page.parent.name != "decisions")]

# What runs the pages of the site runs the README, too.
_found = importlib.util.spec_from_file_location("weave", ROOT / "docs" / "weave.py")
assert _found is not None
assert _found.loader is not None
weave = importlib.util.module_from_spec(_found)
_found.loader.exec_module(weave)


def test_the_python_of_the_readme_runs_and_shows_what_it_says(tmp_path):
    learned, diagnosis = (found["text"] for found in weave.results(ROOT / "README.md", tmp_path))
    assert "accuracy" in learned
    assert "1. vanishing gradient: the wide hidden softmax of 'activation' (1,000 units)" in diagnosis
    assert "it helped" in diagnosis


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_code_is_shown_that_nothing_runs(page):
    text = page.read_text()
    fences = re.findall(r"^[ >]*```+ *(\S+)", text, re.MULTILINE)
    assert {name for name in fences if not name.startswith("{")} <= {"python", "sh", "text"}
    assert {name for name in fences if name.startswith("{code") or name.startswith("{literal")} == set()
    runs = [block for block in weave.BLOCK.finditer(text) if block["language"]]
    assert len(runs) == sum(name in ("python", "sh") for name in fences)  # also those that are indented


def test_a_page_that_fails_says_where(tmp_path):
    page = tmp_path / "page.md"
    for block, said in (
        ("```python\n1 / 0\n```\n", "ZeroDivisionError"),
        ("```sh\necho before\nfalse\n```\n", "before"),
        ("<!-- python\nassert 1 == 2\n-->\n", "AssertionError"),
    ):
        page.write_text(f"# Page\n\n{block}")
        with pytest.raises(RuntimeError, match=said) as raised:
            weave.results(page, tmp_path)
        assert re.search(r"page\.md(:3|\", line [34])", str(raised.value))


def test_a_picture_without_words_is_refused(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\nimport matplotlib.pyplot as plt\nplt.figure()\n```\n")
    with pytest.raises(RuntimeError, match="say behind ```python what the picture shows"):
        weave.results(page, tmp_path)


def test_what_a_page_leaves_running_is_ended(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```sh\nsleep 600 > /dev/null 2>&1 &\necho $!\n```\n")
    [found] = weave.results(page, tmp_path)
    for _ in range(100):  # it was told to end, which takes a moment
        shown = subprocess.run(
            ["ps", "-o", "stat=", "-p", found["text"].strip()], capture_output=True, text=True, check=False
        )
        if shown.stdout.strip()[:1] in ("", "Z"):
            return
        time.sleep(0.1)
    pytest.fail("it goes on")


def test_the_first_screen_of_the_readme_has_the_two_commands():
    screen = "\n".join((ROOT / "README.md").read_text().splitlines()[:30])
    assert "make demo" in screen
    assert "make test" in screen


def test_links_between_documents_lead_somewhere():
    for file in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", file.read_text()):
            assert target.startswith("https://") or (file.parent / target).exists(), (file.name, target)
