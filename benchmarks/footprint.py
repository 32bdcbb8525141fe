"""How long a library takes to import, and how much disk it takes. Run by the Python that has the library: prints JSON.

python -m benchmarks.footprint STARTS IMPORTS DISTRIBUTION...
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path


def import_seconds(imports: str, starts: int) -> float:
    """Best of some fresh processes, from the start of the first import on: Python's own start is not counted."""
    code = f"import time; begin = time.perf_counter()\n{imports}\nprint('\\n', time.perf_counter() - begin)"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True) for _ in range(starts)]
    if any(run.returncode for run in runs):
        lines = next(run.stderr for run in runs if run.returncode).strip().splitlines()
        raise ImportError(lines[-1] if lines else "it cannot be imported")
    return min(float(run.stdout.split()[-1]) for run in runs)


def installed_bytes(names: tuple[str, ...]) -> int:
    """Sizes of the files of some distributions and all that they require, extras left out."""
    files: dict[Path, int] = {}
    todo, seen = list(names), set()
    while todo:
        name = re.sub("[-_.]+", "-", todo.pop()).lower()
        if name in seen:
            continue
        seen.add(name)
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            if name in names:
                raise
            continue  # required only elsewhere: on another system, say
        for file in _files(distribution):
            if file.is_file():
                files[file.resolve()] = file.stat().st_size
        for requirement in distribution.requires or []:
            plain, _, marker = requirement.partition(";")
            if "extra" not in marker:
                todo.append(re.split(r"[\s\[(<>=!~]", plain.strip(), maxsplit=1)[0])
    return sum(files.values())


def _files(distribution: metadata.Distribution) -> list[Path]:
    files = [Path(str(distribution.locate_file(file))) for file in distribution.files or []]
    if '"editable": true' in (distribution.read_text("direct_url.json") or ""):  # then the sources lie elsewhere
        spec = find_spec(distribution.metadata["Name"])
        for folder in (spec.submodule_search_locations or []) if spec else []:
            files += Path(folder).rglob("*")
    return files


def main() -> None:
    starts, imports, *names = sys.argv[1:]
    try:
        answer = {
            "import_s": import_seconds(imports, int(starts)),
            "installed_bytes": installed_bytes(tuple(names)),
        }
        print(json.dumps(answer))
    except (ImportError, metadata.PackageNotFoundError) as error:
        print(json.dumps({"error": str(error)}))


if __name__ == "__main__":
    main()
