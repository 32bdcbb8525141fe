"""The walls that import-linter cannot see."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import nacre
from nacre import layers, optimizers
from nacre.backends.native import memory

ROOT = Path(nacre.__file__).parent

PUBLIC = {
    "__version__", "activations", "budget", "callbacks", "collapse", "config", "constraints", "datasets", "devices", "diagnose",
    "doctor", "errors", "exchange", "explain", "find_learning_rate", "fit_many", "grad", "gradcheck", "Initializer", "initializers",
    "Input", "insight", "labs", "Layer", "layers", "Loss", "losses", "Metric", "metrics", "minimize", "Model",
    "models", "ops", "Optimizer", "optimizers", "plots", "regularizers", "Run", "Sequential", "utils",
    "value_and_grad",
}  # fmt: skip


def test_the_public_names_are_these():
    assert set(nacre.__all__) == PUBLIC
    assert all(getattr(nacre, name) is not None for name in PUBLIC)
    with pytest.raises(AttributeError, match="no 'layer'"):
        nacre.layer  # noqa: B018 - asking is the test
    joins = {"add", "average", "concatenate", "dot", "maximum", "minimum", "multiply", "subtract"}
    assert set(layers.__all__) == {
        "Input",
        "Layer",
        "Parameter",
        "Symbol",
        *joins,
        *(c.__name__ for c in layers.LAYERS),
    }
    assert set(optimizers.__all__) == {"Optimizer", "get", "schedules", *(c.__name__ for c in optimizers.OPTIMIZERS)}
    assert set(nacre.utils.__all__) == {"custom_object_scope", "set_random_seed", "split", "to_categorical"}
    assert set(nacre.datasets.__all__) == {"digits", "mnist"}


def test_importing_nacre_is_silent_and_brings_no_heavy_guests():
    heavy = "jax torch matplotlib mlflow pandas sklearn polars onnx rich click platformdirs urllib.request"
    code = f"import sys, nacre, nacre.models; print([m for m in {heavy.split()!r} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert (run.stdout.strip(), run.stderr) == ("[]", "")


def test_the_oracle_never_imports_what_it_judges():
    code = (
        "import sys, nacre.backends.reference; print([m for m in sys.modules if m.startswith('nacre.backends.native')])"
    )
    source = (ROOT / "backends" / "reference.py").read_text()
    imported = [n.module for n in ast.walk(ast.parse(source)) if isinstance(n, ast.ImportFrom)]
    assert not any("native" in (m or "") for m in imported)
    # `import nacre` itself brings both; the module alone, without its package's front door, brings none.
    stub = f"import sys, types; m = types.ModuleType('nacre'); m.__path__ = [{str(ROOT)!r}]; sys.modules['nacre'] = m; "
    run = subprocess.run([sys.executable, "-c", stub + code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_only_the_door_imports_the_core():
    for file in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.ImportFrom | ast.Import) else []
            assert "_core" not in names or file.name == "_binding.py", file


def test_nothing_unpickles_or_evaluates():
    for file in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec", "__import__"), file
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [a.name for a in node.names] + [getattr(node, "module", "") or ""]
                assert not {"pickle", "marshal", "shelve"} & set(names), file


def test_buffers_that_are_alive_together_never_share_memory(rng):
    for _ in range(50):
        n = int(rng.integers(1, 60))
        sizes = rng.integers(0, 500, n).tolist()
        lives = [tuple(sorted(rng.integers(0, 40, 2).tolist())) for _ in range(n)]
        offsets, total = memory.place(sizes, lives)
        for a in range(n):
            assert offsets[a] % 64 == 0
            assert offsets[a] + sizes[a] <= total
            for b in range(a):
                apart = lives[a][1] < lives[b][0] or lives[b][1] < lives[a][0]
                assert apart or offsets[a] + sizes[a] <= offsets[b] or offsets[b] + sizes[b] <= offsets[a]
