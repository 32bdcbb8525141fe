"""Runs the code of a page and puts behind it what comes out.

A page is Markdown. Its blocks of ```python and ```sh run from top to bottom, in one folder and one namespace for each page. What
they print follows them, and so do the figures that they draw and the pictures that they write, which a sentence behind the word
python or sh describes to those who do not see them. What stands in a comment, between `<!-- python` and `-->`, runs too and is not
shown: what it prints becomes part of the page, and it is where figures that the text names are checked.

`python docs/weave.py PAGE OUT` does so in a process of its own, in the folder it is called in.
"""

from __future__ import annotations

import contextlib
import html
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat

if TYPE_CHECKING:
    from sphinx.application import Sphinx

BLOCK = re.compile(
    r"^```(?P<language>python|sh)(?: (?P<about>[^\n]*))?\n(?P<code>.*?)^```$|^<!-- python\n(?P<hidden>.*?)^-->$",
    re.M | re.S,
)
NAME = re.compile(r"(?<!`)`(nacre\.[\w.]+)`(?!`)")


def run(page: Path, out: Path) -> None:
    """Run the blocks of ``page`` here, and write to ``out``, as JSON, the text and the pictures of each."""
    names: dict[str, Any] = {"__name__": "__main__", "__file__": str(page)}
    found = []
    for block in BLOCK.finditer(page.read_text()):
        before = _pictures()
        line = page.read_text().count("\n", 0, block.start()) + 1
        if block["language"] == "sh":
            done = subprocess.run(["bash", "-euc", block["code"]], capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"{page}:{line}: {done.stdout}{done.stderr}")
            text = done.stdout
        else:
            said = io.StringIO()
            code = "\n" * line + (block["code"] or block["hidden"])  # so that a traceback names the line of the page
            with contextlib.redirect_stdout(said):
                exec(compile(code, str(page), "exec"), names)
            text = said.getvalue()
        pictures = [*_drawn(line), *sorted(_pictures() - before)]
        if pictures and block["language"] and not block["about"]:
            raise SystemExit(f"{page}:{line}: say behind ```{block['language']} what the picture shows")
        found.append({"text": text, "pictures": [str(Path(p).resolve()) for p in pictures]})
    out.write_text(json.dumps(found))


def _pictures() -> set[str]:
    return {str(p) for ending in ("svg", "png") for p in Path().glob(f"*.{ending}")}


def _drawn(line: int) -> list[str]:
    """The open figures as files, in a folder that is not looked through for pictures."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    files = []
    for number in pyplot.get_fignums() if pyplot else ():
        Path("drawn").mkdir(exist_ok=True)
        files.append(f"drawn/{line}-{number}.svg")
        pyplot.figure(number).savefig(files[-1], bbox_inches="tight", metadata={"Date": None})
    if pyplot:
        pyplot.close("all")
    return files


def results(page: Path, folder: Path) -> list[dict[str, Any]]:
    """What each block of ``page`` gives, run in ``folder``."""
    place = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "MPLBACKEND": "agg",
    }
    place |= {"COLUMNS": "100", "PYTHONHASHSEED": "0", "NACRE_THREADS": "1"}  # pages are read side by side
    place["PYTHONPATH"] = f"{Path(__file__).parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    out = folder / ".woven.json"
    command = [sys.executable, str(Path(__file__).resolve()), str(page.resolve()), str(out)]
    with subprocess.Popen(
        command,
        cwd=folder,
        env=place,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        _, said = running.communicate()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGTERM)  # what a page left running in the background
    if running.returncode:
        raise RuntimeError(f"{page} does not run:\n{said}")
    found: list[dict[str, Any]] = json.loads(out.read_text())
    return found


def woven(page: Path, images: Path, up: str) -> tuple[str, Any]:
    """The Markdown of ``page`` with what its blocks gave, and the same as a notebook.

    Pictures go into the folder ``images``, which the page calls ``up``_images.
    """
    text = page.read_text()
    if page.parent.name == "decisions":  # which speak of inner rooms, too
        return text, None
    blocks = list(BLOCK.finditer(text))
    if not blocks:
        return _linked(text), None
    images.mkdir(parents=True, exist_ok=True)
    parts, cells, end = [], [], 0
    with tempfile.TemporaryDirectory() as folder:
        for number, (block, found) in enumerate(zip(blocks, results(page, Path(folder)), strict=True)):
            between = text[end : block.start()]
            end = block.end()
            parts.append(_linked(between))
            if between.strip():
                cells.append(nbformat.v4.new_markdown_cell(between.strip().replace(".md)", ".ipynb)")))
            if block["hidden"]:
                parts.append(found["text"])
                continue
            parts.append(f"```{block['language']}\n{block['code']}```\n")
            code = block["code"] if block["language"] == "python" else f"%%sh\n{block['code']}"
            cells.append(nbformat.v4.new_code_cell(code.rstrip("\n"), execution_count=None))
            if found["text"].strip():
                fence = "`" * 4
                parts.append(f"{fence}{{code-block}} text\n:class: said\n\n{found['text'].rstrip()}\n{fence}\n")
                cells[-1].outputs.append(nbformat.v4.new_output("stream", name="stdout", text=found["text"]))
            for index, picture in enumerate(found["pictures"]):
                name = f"{page.parent.name}-{page.stem}-{number}-{index}{Path(picture).suffix}"
                (images / name).write_bytes(Path(picture).read_bytes())
                about = html.escape(block["about"])
                parts.append(f'\n<img class="drawn" src="{up}_images/{name}" alt="{about}">\n')
                if picture.endswith(".svg"):
                    shown = {"image/svg+xml": Path(picture).read_text(), "text/plain": block["about"]}
                    cells[-1].outputs.append(nbformat.v4.new_output("display_data", data=shown))
    parts.append(_linked(text[end:]))
    if text[end:].strip():
        cells.append(nbformat.v4.new_markdown_cell(text[end:].strip().replace(".md)", ".ipynb)")))
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return "".join(parts), nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def _linked(text: str) -> str:
    """Names such as `nacre.Model` lead to the reference, and must be there; what is in fences stays."""
    pieces = re.split(r"(^`{3,}[^\n]*\n.*?^`{3,}$)", text, flags=re.M | re.S)
    return "".join(piece if number % 2 else NAME.sub(r"{py:obj}`\1`", piece) for number, piece in enumerate(pieces))


def _read(app: Sphinx, name: str, source: list[str]) -> None:
    page = Path(str(app.env.doc2path(name)))
    text, notebook = woven(page, Path(app.outdir) / "_images", "../" * name.count("/"))
    if notebook is not None and name.startswith("learn/"):
        file = Path(app.outdir) / f"{name}.ipynb"
        file.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, file)
        text += f'\n<p class="notebook"><a href="{page.stem}.ipynb" download>This lesson as a notebook for Jupyter</a></p>\n'
    source[0] = text


def setup(app: Sphinx) -> dict[str, bool]:
    """As an extension of Sphinx: every page that is read is woven first."""
    app.connect("source-read", _read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    sys.path.remove(str(Path(__file__).parent))
    run(Path(sys.argv[1]), Path(sys.argv[2]))
