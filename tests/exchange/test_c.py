"""A model as a C file: every compiler takes it, and in strict mode it gives nacre's own bits."""

from __future__ import annotations

import re
import shutil
import subprocess

import numpy as np
import pytest

import nacre
from nacre import datasets, layers, ops
from nacre.backends import native
from nacre.backends.base import Block, Program, State
from nacre.backends.native._binding import ISAS
from nacre.errors import Limitation, ModelFileError
from nacre.exchange import c
from nacre.exchange.traced import traced
from nacre.ir import Graph, Input, TensorType
from nacre.layers import (
    BatchNormalization,
    Concatenate,
    Dense,
    Embedding,
    Flatten,
    LayerNormalization,
    Rescaling,
    Residual,
)
from nacre.ops import TABLE

WARNINGS = ["-Wall", "-Wextra", "-Werror", "-pedantic"]
STRICT = ["-DNACRE_STRICT", "-ffp-contract=off"]
FLOATS = (
    "exp",
    "expm1",
    "log",
    "log1p",
    "sqrt",
    "sin",
    "cos",
    "tanh",
    "sigmoid",
    "erf",
    "relu",
    "floor",
    "sign",
    "abs",
)


def _built(path, *flags, compiler="gcc", standard="-std=c99"):
    """The program of a C file."""
    program = path.with_name(f"{path.stem}-{abs(hash((flags, standard)))}")
    command = [compiler, standard, *WARNINGS, "-O2", *flags, "-DNACRE_MAIN", "-o", program, path, "-lm"]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return program


def _said(program, *arrays):
    """What a program prints for rows of some inputs, float32 (rows, numbers)."""
    rows = len(arrays[0])
    flat = np.concatenate([a.reshape(rows, -1) for a in arrays], axis=1)
    text = "\n".join(" ".join(f"{n:.9g}" for n in row) for row in flat)
    run = subprocess.run([program], input=text, capture_output=True, text=True, check=True)
    return np.array(run.stdout.split(), np.float32).reshape(rows, -1)


def _same_bits(found, expected):
    found, expected = np.ascontiguousarray(found, np.float32), np.ascontiguousarray(expected, np.float32)
    found, expected = found.ravel(), expected.ravel()
    return np.isnan(found) & np.isnan(expected) | (found.view(np.uint32) == expected.view(np.uint32))


def _engine(graph, arrays):
    """What nacre's own engine makes of a graph."""
    outputs = {name: ops.reshape(v, [1, *v.shape]) for name, v in graph.outputs.items()}
    program = Program({1: Graph(graph.inputs, outputs)}, tuple(i.name for i in graph.inputs), (), (), tuple(outputs))
    state = State()
    state.add({i.name: i.type for i in graph.inputs})
    for name, array in arrays.items():
        state[name].write(array)
    found = native.compile(program).run(state, Block([]), np.zeros(1, dtype=np.int64), {})
    return np.concatenate([found[name].ravel() for name in outputs])


def _settled(model, rng):
    """The model with weights as they are after a training: none is 0 or 1."""
    model.set_weights([w + rng.uniform(-0.05, 0.1, w.shape) for w in model.get_weights()])
    return model


def _dense(activation):
    return [Dense(40, activation), Dense(23, activation)]


NETWORKS = {
    **{name: [Flatten(), *_dense(name)] for name in ("relu", "sigmoid", "tanh", "gelu", "selu", "softplus")},
    "silu, in bfloat16": [Flatten(), Dense(40, "silu", dtype="mixed_bfloat16"), Dense(23, dtype="mixed_bfloat16")],
    "batch normalization": [Flatten(), Dense(33), BatchNormalization(), *_dense("relu")],
    "layer normalization": [LayerNormalization(axis=[1, 2]), Flatten(), *_dense("elu")],
    "residual": [Flatten(), Dense(40, "relu"), Residual([Dense(24, "tanh"), Dense(40)]), Dense(23)],
    "long and narrow": [Flatten(), Dense(780, "relu"), Dense(20, "tanh"), Dense(23)],
    "long, and a panel wide": [Flatten(), Dense(800, "relu"), Dense(29, "tanh")],
    "over an axis": [Dense(5, "softmax"), Flatten(), Dense(23, "mish")],
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_in_strict_mode_gives_the_bits_of_predict_and_else_nearly_so(name, tmp_path, rng):
    model = nacre.Sequential([nacre.Input((8, 8)), Rescaling(1 / 16), *NETWORKS[name], Dense(10, "softmax")])
    model = _settled(model, rng)
    (x, _), _ = datasets.digits()
    rows = x[:200].astype(np.float32)
    path = tmp_path / "net.c"
    written = c.write(model, path)
    expected = model.predict(rows)
    strict = _said(_built(path, *STRICT), rows)
    assert _same_bits(strict, expected).all()
    nearly = 1e-3 if "bfloat16" in name else 1e-6  # what is rounded so coarsely may fall to the other side
    assert np.abs(_said(_built(path), rows) - expected).max() < nearly
    assert (written.rows, written.nbytes) == (1000, path.stat().st_size)
    assert written.difference < nearly


def test_strict_mode_has_the_same_bits_with_the_instructions_of_the_processor(tmp_path, rng):
    model = _settled(nacre.Sequential([nacre.Input((30,)), Dense(70, "gelu"), Dense(9, "softmax")]), rng)
    rows = rng.normal(size=(200, 30)).astype(np.float32)
    c.write(model, tmp_path / "net.c")
    wide = ["-mfma", "-mavx2"] if "avx2" in ISAS else []
    program = _built(tmp_path / "net.c", *STRICT, *wide, "-O3")
    assert _same_bits(_said(program, rows), model.predict(rows)).all()


def test_several_inputs_and_outputs_and_terms_are_arguments_in_order(tmp_path, rng):
    numbers, terms = nacre.Input((4,), name="numbers"), nacre.Input((3,), dtype="int32", name="terms")
    both = Concatenate()([Dense(6, "tanh")(numbers), Flatten()(Embedding(11, 5)(terms))])
    kind, size = Dense(3, "softmax", name="kind")(both), Dense(1, name="size")(both)
    model = _settled(nacre.Model([numbers, terms], [kind, size]), rng)
    rows = [rng.normal(size=(200, 4)).astype(np.float32), rng.integers(11, size=(200, 3)).astype(np.int32)]
    written = c.write(model, tmp_path / "two.c")
    expected = np.concatenate(model.predict(rows), axis=1)
    assert _same_bits(_said(_built(tmp_path / "two.c", *STRICT), *rows), expected).all()
    assert "const float *input0, const int32_t *input1, float *output0, float *output1" in written.notes[0]


def test_the_file_is_also_cpp(tmp_path, rng):
    model = _settled(nacre.Sequential([nacre.Input((30,)), Dense(70, "gelu"), Dense(9, "softmax")]), rng)
    rows = rng.normal(size=(20, 30)).astype(np.float32)
    c.write(model, tmp_path / "net.c")
    shutil.copy(tmp_path / "net.c", tmp_path / "net.cpp")
    program = _built(tmp_path / "net.cpp", *STRICT, compiler="g++", standard="-std=c++17")
    assert _same_bits(_said(program, rows), model.predict(rows)).all()


def test_every_primitive_has_words_or_a_reason_and_gives_the_engines_bits(tmp_path):
    assert {*c.READ, *c.RULES, *c.WORDS, *c.GAPS} == set(TABLE)
    inputs, outputs, arrays = [], {}, {}
    for name in sorted(set(TABLE) - set(c.GAPS)):
        for number, sample in enumerate(TABLE[name].samples):
            mine = [Input(f"{name}_{number}_{k}", a.type) for k, a in enumerate(sample.arguments)]
            y = TABLE[name](*mine, **sample.attrs)
            inputs += mine
            arrays |= {i.name: a.draw(k) for k, (i, a) in enumerate(zip(mine, sample.arguments, strict=True))}
            outputs[f"{name}_{number}"] = y if y.type.is_float else ops.cast(y, "float32")
    graph = Graph(inputs, outputs)
    path = tmp_path / "rows.c"
    path.write_text(c.source("rows", graph, {i.name: i for i in inputs}, outputs, {}))
    found = _said(_built(path, *STRICT), np.concatenate([arrays[i.name].ravel() for i in inputs])[None])[0]
    assert found.size > 5000
    same = _same_bits(found, _engine(graph, arrays))
    names = np.repeat(list(outputs), [v.type.size for v in outputs.values()])
    assert same.all(), sorted(set(names[~same]))


def test_elementary_functions_give_the_engines_bits_for_floats_of_every_exponent(tmp_path, rng):
    edges = np.array([0, 1, 2**23 - 1], np.uint32)
    mantissas = np.concatenate([np.broadcast_to(edges, (512, 3)), rng.integers(2**23, size=(512, 12))], axis=1)
    x = ((np.arange(512)[:, None] << 23) | mantissas).ravel().astype(np.uint32).view(np.float32)
    x = np.append(x, rng.uniform(-4, 4, 4000).astype(np.float32))
    y = rng.permutation(x)
    values = [Input("x", TensorType(x.shape)), Input("y", TensorType(x.shape))]
    outputs = {name: TABLE[name](values[0]) for name in FLOATS} | {"power": ops.power(*values)}
    graph = Graph(values, outputs)
    path = tmp_path / "functions.c"
    path.write_text(c.source("functions", graph, {"x": values[0], "y": values[1]}, outputs, {}))
    found = _said(_built(path, *STRICT), np.concatenate([x, y])[None])[0]
    same = _same_bits(found, _engine(graph, {"x": x, "y": y})).reshape(len(outputs), -1)
    assert same.all(), {name: x[~row][:5] for name, row in zip(outputs, same, strict=True) if not row.all()}


def test_names_of_others_end_no_comment_and_no_string(tmp_path, rng):
    evil = '*/ int main(void) { return 7; } /* \\\n"??/'
    model = nacre.Sequential([nacre.Input((2,)), Dense(2, "softmax", name="fine")])
    model.get_layer("fine").name = evil
    path = tmp_path / '9 ways"*to?.c'
    c.write(model, path)
    text = path.read_text()
    assert "int main(void) { return 7; }" not in re.sub(r"(?m)^//.*$|\"[^\"]*\"", "", text)
    assert not [line for line in text.splitlines() if line.startswith("//") and line.endswith("\\")]
    assert "void model_9_ways_to_predict(" in text
    rows = rng.normal(size=(5, 2)).astype(np.float32)
    assert np.abs(_said(_built(path), rows) - model.predict(rows)).max() < 1e-6


def test_weights_that_are_no_ordinary_numbers_are_kept_to_the_bit(tmp_path):
    weights = np.array([[np.inf, -np.inf, 1e-45, -0.0, 3e38, -1.1754942e-38]], np.float32)
    model = nacre.Sequential([nacre.Input((1,)), Dense(6, use_bias=False)])
    model.set_weights([weights])
    c.write(model, tmp_path / "net.c")
    rows = np.array([[1.0]], np.float32)
    assert _same_bits(_said(_built(tmp_path / "net.c", *STRICT), rows), model.predict(rows)).all()


def test_export_knows_a_c_file_by_its_suffix(tmp_path):
    assert nacre.Sequential([nacre.Input((3,)), Dense(2)]).export(tmp_path / "net.c").format == "c"


def test_the_same_model_gives_the_same_file(tmp_path, rng):
    model = _settled(nacre.Sequential([nacre.Input((5,)), Dense(4, "relu"), Dense(3, "softmax")]), rng)
    texts = []
    for _ in range(2):
        c.write(model, tmp_path / "net.c")
        texts.append((tmp_path / "net.c").read_bytes())
    assert texts[0] == texts[1]


def test_a_program_says_what_is_wrong_with_a_row(tmp_path):
    c.write(nacre.Sequential([nacre.Input((3,)), Dense(2)]), tmp_path / "net.c")
    run = subprocess.run([_built(tmp_path / "net.c")], input="1 2", capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "A row is 3 numbers" in run.stderr


def test_random_numbers_and_float64_are_refused_with_a_reason(tmp_path):
    x = nacre.Input((3,))
    drawn = nacre.Model(x, layers.Dropout(0.5)(x, training=True))
    with pytest.raises(Limitation, match="draws random numbers"):
        c.write(drawn, tmp_path / "net.c")
    with pytest.raises(Limitation, match="float64"):
        c.write(nacre.Sequential([nacre.Input((3,)), Dense(2, dtype="float64")]), tmp_path / "net.c")
    assert not list(tmp_path.iterdir())


def test_without_a_compiler_the_file_is_written_and_a_note_says_that_nothing_ran(tmp_path, monkeypatch):
    monkeypatch.setattr(c.shutil, "which", lambda name: None)
    written = c.write(nacre.Sequential([nacre.Input((3,)), Dense(2)]), tmp_path / "net.c")
    assert (written.difference, written.rows) == (None, 0)
    assert "no C compiler" in " ".join(written.notes)


def test_a_file_that_computes_something_else_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setitem(c._FLOATS, "tanh", "nacre_sin({0})")
    with pytest.raises(ModelFileError, match="'dense' in C is not the model's"):
        c.write(nacre.Sequential([nacre.Input((3,)), Dense(2, "tanh")]), tmp_path / "net.c")
    assert not list(tmp_path.iterdir())


def test_what_is_large_lies_in_fixed_places_and_the_file_says_so(tmp_path):
    model = nacre.Sequential([nacre.Input((3,)), layers.RepeatVector(30_000), Flatten(), Dense(1)])
    one = traced(model, "C")
    text = c.source("large", one.graph, one.inputs, one.outputs, one.weights)
    assert "in fixed places, so one call at a time" in text
    assert "  static float v" in text


@pytest.mark.parametrize("compiler", [name for name in ("gcc", "clang") if shutil.which(name)])
@pytest.mark.parametrize("flags", [["-O1"], ["-O2"], ["-O3"], ["-O3", "-march=native", *STRICT]], ids=" ".join)
def test_no_compiler_has_a_warning_at_any_level(compiler, flags, tmp_path):
    sizes = [Dense(16), Dense(3), Dense(1), Dense(300), Dense(2)]
    model = nacre.Sequential([nacre.Input((16,)), LayerNormalization(), *sizes])
    one = traced(model, "C")
    (tmp_path / "net.c").write_text(c.source("net", one.graph, one.inputs, one.outputs, one.weights))
    _built(tmp_path / "net.c", *flags, compiler=compiler)
