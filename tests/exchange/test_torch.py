"""Networks of PyTorch: files that it wrote, frozen with its answers, are the witness. It is not installed where these tests run."""

from __future__ import annotations

import io
import json
import pickle
import pickletools
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import nacre
from nacre import layers
from nacre.errors import DTypeError, Limitation, ModelFileError, UsageError
from nacre.exchange import from_torch, state_dict, tensors
from nacre.exchange.torch import ACTIVATIONS

GOLDEN = Path(__file__).parents[1] / "golden"
SAID = json.loads((GOLDEN / "torch.json").read_text())
RNG = np.random.default_rng(3)


# ------------------------------------------------------------------ from PyTorch


@pytest.mark.parametrize(
    ("name", "activation", "output"),
    [("sequential", "relu", "softmax"), ("named", "tanh", None), ("inner", "sigmoid", None)],
)
def test_a_network_of_pytorch_predicts_here_what_it_predicts_there(name, activation, output):
    model = from_torch(GOLDEN / "torch" / f"{name}.pt", activation, output)
    found = model.predict(np.array(SAID["x"], "float32"), verbose=0)
    np.testing.assert_allclose(found, SAID["y"][name], rtol=1e-5, atol=1e-6)


def test_files_of_safetensors_and_dictionaries_say_the_same_as_files_of_pytorch(tmp_path):
    path = GOLDEN / "torch" / "sequential.pt"
    arrays = tensors.read(path)
    safetensors.numpy.save_file(arrays, tmp_path / "net.safetensors", {"format": "pt"})
    safetensors.numpy.save_file(arrays, tmp_path / "bare.safetensors")
    x = np.array(SAID["x"], "float32")
    expected = from_torch(path).predict(x, verbose=0)
    for given in (arrays, tmp_path / "net.safetensors", tmp_path / "bare.safetensors"):
        assert (from_torch(given).predict(x, verbose=0) == expected).all()


def test_numbers_of_every_kind_are_read():
    found = tensors.read(GOLDEN / "torch" / "kinds.pt")
    for name, array in found.items():
        expected = np.array([[1.5, 3.0], [-2.0, 0.25]])
        assert (array == (np.trunc(expected) if name == "int64" else expected)).all(), name
    assert {name: str(array.dtype) for name, array in found.items()} == {
        "float64": "float64",
        "float16": "float32",
        "bfloat16": "float32",
        "int64": "int64",
    }


def test_numbers_of_modules_count_as_numbers_and_not_as_text():
    given = linear(*[4] * 7)  # 0, 2, ..., 10
    expected = from_torch(given).get_weights()
    found = from_torch(dict(sorted(given.items()))).get_weights()
    assert all((a == b).all() for a, b in zip(expected, found, strict=True))


def linear(*sizes, names=None):
    """Tensors of a stack of nn.Linear."""
    names = names or [str(2 * n) for n in range(len(sizes) - 1)]
    pairs = zip(names, sizes[:-1], sizes[1:], strict=True)
    return {
        f"{n}.{what}": RNG.standard_normal(shape)
        for n, i, o in pairs
        for what, shape in (("weight", (o, i)), ("bias", (o,)))
    }


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["0", "2", "4"], ["relu", "relu", "tanh"]),
        (["0", "1", "3"], ["linear", "relu", "tanh"]),
        (["0", "1", "2"], ["linear", "linear", "tanh"]),
        (["a", "b", "c"], ["relu", "relu", "tanh"]),
        (["list.0", "list.1", "list.2"], ["relu", "relu", "tanh"]),
        (["net.0", "net.1", "net.3"], ["linear", "relu", "tanh"]),
    ],
)
def test_activations_go_where_numbers_are_left_out_or_behind_each_linear(names, expected):
    model = from_torch(linear(4, 3, 3, 2, names=names), output="tanh")
    assert [layer.activation.__name__ for layer in model.layers] == expected


def test_what_changes_pictures_in_training_is_a_module_that_does_nothing(tmp_path):
    stack = [layers.Rescaling(1 / 255), layers.Augmentation("horizontal"), layers.Flatten(), layers.Dense(2)]
    written = nacre.Sequential([nacre.Input((6, 5, 1)), *stack]).export(tmp_path / "model.pt")
    made = "\n    nn.BatchNorm2d(6, eps=0.0),\n    nn.Identity(),\n    nn.Flatten(),\n    nn.Linear(30, 2),"
    assert made in "\n".join(written.notes)
    assert "Its pictures are not augmented in training: in the file, that layer does nothing." in written.notes


@pytest.mark.parametrize(("dtype", "told"), [("mixed_bfloat16", True), ("float32", False)])
def test_what_is_rounded_here_and_not_there_is_told(dtype, told, tmp_path):
    model = nacre.Sequential([nacre.Input((4,)), layers.Dense(3, "relu", dtype=dtype), layers.Dense(2)])
    said = "It computes in float32, and the model rounds what it multiplies to bfloat16."
    assert (said in model.export(tmp_path / "model.pt").notes) == told


def test_tensors_of_other_networks_are_refused():
    wrong = {
        "stack": linear(4, 3) | {"2.weight": np.ones((2, 5))},
        "Linear": {"0.weight": np.ones((8, 3, 5, 5)), "0.bias": np.ones(8)},
        "no Linear": {"rnn.weight_ih_l0": np.ones((8, 3))},
        "no tensors": {},
    }
    for said, given in wrong.items():
        with pytest.raises(ModelFileError, match=said):
            from_torch(given)
    with pytest.raises(UsageError, match="state_dict"):
        from_torch(3)
    with pytest.raises(DTypeError, match=r"0\.weight"):
        from_torch({"0.weight": np.array([["a"]])})


# ------------------------------------------------------------------ what is refused


def test_whole_networks_and_checkpoints_are_refused_by_name():
    with pytest.raises(ModelFileError, match=r"torch\.nn\.modules\.linear Linear"):
        from_torch(GOLDEN / "torch" / "network.pt")
    with pytest.raises(ModelFileError, match="epoch, state_dict"):
        from_torch(GOLDEN / "torch" / "checkpoint.pt")
    with pytest.raises(FileNotFoundError):
        from_torch("nowhere.pt")


def packed(path, program, members=None, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in ({"data.pkl": program, "byteorder": b"little"} | (members or {})).items():
            archive.writestr(f"archive/{name}", content)
    return path


class Calls:
    """Something whose pickle calls a function when it is read."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_a_pickle_that_calls_anything_is_refused_and_nothing_is_run(tmp_path):
    import os

    marker = tmp_path / "it was run"
    for thing in (
        Calls(os.system, f"touch '{marker}'"),
        Calls(eval, f"open({str(marker)!r}, 'w')"),
        Calls(getattr, Calls(__import__, "os"), "system"),
        {"0.weight": Calls(open, str(marker), "w")},
    ):
        for protocol in (0, 1, 2, 4):
            with pytest.raises(ModelFileError):
                from_torch(packed(tmp_path / "bad.pt", pickle.dumps(thing, protocol)))
    with pytest.raises(ModelFileError, match=r"(posix|nt) system"):
        from_torch(packed(tmp_path / "bad.pt", pickle.dumps(Calls(os.system, "true"), 2)))
    assert not marker.exists()


def tensor(
    count=b"K\x06",
    begin=b"K\x00",
    shape=b"K\x02K\x03\x86",
    strides=b"K\x03K\x01\x86",
    kind=b"torch\nFloatStorage",
    key=b"0",
):
    """A pickle of one tensor, of pieces that may be other than PyTorch's."""
    storage = (
        b"((X\x07\x00\x00\x00storagec"
        + kind
        + b"\nX"
        + len(key).to_bytes(4, "little")
        + key
        + b"X\x03\x00\x00\x00cpu"
        + count
        + b"tQ"
    )
    made = (
        b"ctorch._utils\n_rebuild_tensor_v2\n"
        + storage
        + begin
        + shape
        + strides
        + b"\x89ccollections\nOrderedDict\n)RtR"
    )
    return b"\x80\x02}(X\x01\x00\x00\x00w" + made + b"u."


def test_a_tensor_of_pieces_is_the_one_that_pytorch_writes(tmp_path):
    given = np.arange(6, dtype="<f4")
    path = packed(tmp_path / "good.pt", tensor(), {"data/0": given.tobytes()})
    assert tensors.read(path)["w"].tolist() == given.reshape(2, 3).tolist()


@pytest.mark.parametrize(
    ("said", "pieces"),
    [
        ("expected 1,073,741,824 numbers", {"count": b"J\x00\x00\x00\x40"}),
        ("from 6 numbers", {"shape": b"K\x02K\x04\x86"}),
        ("from 6 numbers", {"begin": b"K\x01"}),
        ("from 6 numbers", {"strides": b"K\x04K\x01\x86"}),
        ("from 6 numbers", {"shape": b"K\xffK\xff\x86", "strides": b"K\x00K\x00\x86"}),
        ("sizes are no numbers", {"begin": b"J\xff\xff\xff\xff"}),
        ("sizes are no numbers", {"strides": b"J\xff\xff\xff\xffK\x01\x86"}),
        ("no storage", {"shape": b"K\x06\x85"}),
        ("builtins eval", {"kind": b"builtins\neval"}),
        ("CharStorage", {"kind": b"torch\nCharStorage"}),
        ("KeyError", {"key": b"1"}),
        ("KeyError", {"key": b"../../etc/passwd"}),
    ],
)
def test_a_tensor_of_numbers_that_are_not_there_is_refused(tmp_path, said, pieces):
    with pytest.raises(ModelFileError, match=said):
        tensors.read(packed(tmp_path / "bad.pt", tensor(**pieces), {"data/0": bytes(24)}))


def test_tuples_in_tuples_do_not_take_forever(tmp_path):
    laughs = b"\x80\x02)" + b"q\x00h\x00\x86" * 200
    for end in (b".", b"Q.", b"}q\x01h\x00h\x00s.", b"ccollections\nOrderedDict\nh\x00R.", b"h\x00R.", b"0000."):
        with pytest.raises(ModelFileError):
            tensors.read(packed(tmp_path / "bad.pt", laughs + end))


def test_programs_that_are_none_are_refused(tmp_path):
    good = tensor()
    for program in (
        b"",
        b".",
        b"\x80\x02.",
        b"(((",
        b"h\x07.",
        good[:40],
        good[:-2] + b".",
        good[:-2] + b"s.",
        b"}(K\x01K\x02u.",
        b"L" + b"9" * 9999,
    ):
        with pytest.raises(ModelFileError):
            tensors.read(packed(tmp_path / "bad.pt", program, {"data/0": bytes(24)}))


def test_archives_that_are_not_as_pytorch_writes_them_are_refused(tmp_path):
    path, data = tmp_path / "bad.pt", {"data/0": bytes(24)}
    for more, said in (({"../evil": b""}, "evil"), ({"code/x.py": b""}, "code"), ({"byteorder": b"big"}, "big-endian")):
        with pytest.raises(ModelFileError, match=said):
            tensors.read(packed(path, tensor(), data | more))
    with pytest.raises(ModelFileError, match="made of"):
        tensors.read(packed(path, tensor(), {"data/0": bytes(1 << 24)}, zipfile.ZIP_DEFLATED))
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ModelFileError, match="zip"):
        tensors.read(path)
    content = (GOLDEN / "torch" / "inner.pt").read_bytes()
    for damaged in (content[:-30], content[: len(content) // 2], content.replace(b"cpu", b"gpu", 1)):
        path.write_bytes(damaged)
        with pytest.raises(ModelFileError):
            tensors.read(path)


# ------------------------------------------------------------------ to PyTorch


def opcodes(program):
    return [(one.name, argument) for one, argument, _ in pickletools.genops(program)]


def test_the_pickle_is_the_one_that_pytorch_writes():
    with zipfile.ZipFile(GOLDEN / "torch" / "plain.pt") as archive:
        expected = archive.read("plain/data.pkl")
    found = tensors.pickled({"0.weight": (2, 300), "0.bias": (2,), "deep": (1, 2, 1, 3)})
    assert opcodes(found) == opcodes(expected)
    assert found == expected


def test_an_archive_is_read_back_and_has_the_same_bytes_each_time():
    arrays = {f"{n}.weight": RNG.standard_normal((n, 300)).astype("float32") for n in range(70)} | {"s": np.float32(2)}
    content = tensors.archive(arrays)
    assert content == tensors.archive(arrays)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.read("archive/data/3") == arrays["3.weight"].tobytes()


def test_a_stack_comes_back_as_it_went(tmp_path):
    model = nacre.Sequential(
        [
            nacre.Input((4,)),
            layers.Dense(6, "tanh"),
            layers.Dropout(0.5),
            layers.BatchNormalization(epsilon=1e-5),
            layers.LayerNormalization(epsilon=1e-5),
            layers.Dense(3, "tanh", use_bias=False),
            layers.Dense(2),
        ]
    )
    for weight in model.weights:
        weight.assign(RNG.uniform(0.5, 1.5, weight.shape))
    written = model.export(tmp_path / "net.pt")
    found = tensors.read(tmp_path / "net.pt")
    assert " ".join(found).split(" 5.")[0] == (
        "0.weight 0.bias 3.weight 3.bias 3.running_mean 3.running_var 4.weight 4.bias"
    )
    assert list(found)[-3:] == ["5.weight", "7.weight", "7.bias"]
    assert all((found[name] == array).all() for name, array in state_dict(model).items())
    assert "nn.Linear(4, 6)," in str(written)
    assert "nn.BatchNorm1d(6, eps=1e-05, momentum=0.01)," in str(written)
    again = from_torch(tmp_path / "net.pt", "tanh")
    x = RNG.standard_normal((5, 4)).astype("float32")
    np.testing.assert_allclose(again.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)


def test_what_is_scaled_before_is_scaled_by_a_normalization_that_is_fixed():
    given = layers.Normalization()
    given.adapt(RNG.standard_normal((50, 4)) * [1, 2, 3, 4] + 5)
    model = nacre.Sequential([nacre.Input((4,)), given, layers.Rescaling(0.5, -1.0)])
    own, x = state_dict(model), RNG.standard_normal((3, 4)).astype("float32")
    y = x
    for n in "01":  # as nn.BatchNorm1d is defined, with eps=0
        y = (y - own[f"{n}.running_mean"]) / np.sqrt(own[f"{n}.running_var"]) * own[f"{n}.weight"] + own[f"{n}.bias"]
    np.testing.assert_allclose(y, model.predict(x, verbose=0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "module"), ACTIVATIONS.items())
def test_the_module_of_an_activation_does_the_same(name, module):
    x = np.array(SAID["line"], "float32")
    found = nacre.Sequential([nacre.Input((6,)), layers.Activation(name)]).predict(x, verbose=0)
    np.testing.assert_allclose(found, SAID["activations"][module], rtol=1e-5, atol=1e-6)


def test_what_pytorch_has_no_module_for_is_refused_by_name():
    x = nacre.Input((4,))
    with pytest.raises(Limitation, match="no stack"):
        state_dict(nacre.Model(x, layers.Dense(2)(x)))
    for layer, said in (
        (layers.Residual(layers.Dense(4)), "Residual"),
        (layers.Dense(3, "squareplus"), "squareplus"),
        (layers.ReLU(max_value=2.0), "ReLU"),
        (layers.BatchNormalization(axis=1, input_shape=(2, 2, 2, 2)), "batch_normalization"),
    ):
        first = [] if layer.input_shape else [nacre.Input((4,))]
        with pytest.raises(Limitation, match=said):
            state_dict(nacre.Sequential([*first, layer]))
