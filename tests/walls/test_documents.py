"""What the documents show works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _blocks(language):
    for file in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for number, block in enumerate(re.findall(rf"```{language}\n(.*?)```", file.read_text(), re.DOTALL)):
            yield pytest.param(block, id=f"{file.name}-{number}")


@pytest.mark.parametrize("block", list(_blocks("python")))
def test_a_python_block_runs(block, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "document", "exec"), {})
    assert "accuracy" in capsys.readouterr().out


def test_the_first_screen_of_the_readme_has_the_two_commands():
    screen = "\n".join((ROOT / "README.md").read_text().splitlines()[:30])
    assert "make demo" in screen
    assert "make test" in screen


def test_links_between_documents_lead_somewhere():
    for file in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", file.read_text()):
            assert target.startswith("https://") or (file.parent / target).exists(), (file.name, target)
