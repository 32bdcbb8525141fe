"""Memory whose value is where a lowering computes: nobody who asks for it can tell."""

from __future__ import annotations

import numpy as np
import pytest

from nacre.ir import Memory, TensorType


@pytest.fixture(params=[(3, 40), (400, 3), (5,), ()], ids=["matrix", "narrow", "vector", "number"])
def memory(request):
    return Memory(TensorType(request.param))


def test_what_is_written_there_is_read_here(memory):
    there = np.full(memory.type.shape, 7, "float32")
    memory.write_on_device(there)
    assert memory.begun
    assert memory.on_device is there
    assert (memory.read() == 7).all()
    assert (memory.copy() == 7).all()
    assert memory.on_device is there  # it still holds


@pytest.mark.parametrize("before", [False, True])
def test_native_kernels_read_it_and_what_they_write_counts(memory, before):
    first = memory.paneled() if before else None
    writes = Memory.writes
    memory.write_on_device(np.full(memory.type.shape, 7, "float32"))
    assert Memory.writes > writes  # whoever keeps addresses looks again
    panels = memory.paneled()
    assert first is None or panels.ctypes.data == first.ctypes.data
    assert (memory.copy() == 7).all()
    panels += 1
    memory.paneled_was_written()
    assert memory.on_device is None
    assert (memory.read() == 8).all()


def test_what_is_written_here_ends_what_is_there(memory):
    memory.write_on_device(np.full(memory.type.shape, 7, "float32"))
    memory.write(np.full(memory.type.shape, 2, "float32"))
    assert memory.on_device is None
    assert (memory.read() == 2).all()


def test_a_copy_there_changes_nothing_here(memory):
    memory.write(np.full(memory.type.shape, 2, "float32"))
    memory.put_on_device(memory.read().copy())
    assert (memory.read() == memory.on_device).all()


@pytest.mark.parametrize("type_", [TensorType((5,)), TensorType((3, 70)), TensorType((400, 3)), TensorType((2, 3, 4))])
def test_what_is_written_where_the_kernels_read_is_the_array(type_):
    memory, wanted = Memory(type_), np.arange(type_.size, dtype="f8").reshape(type_.shape)
    memory.write(np.ones(type_.shape))
    places = memory.places(wanted)
    for _ in range(2):  # also when it has been read meanwhile
        for there, part in places:
            there[...] = part
        memory.paneled_was_written()
        assert np.array_equal(memory.read(), wanted)
        wanted += 1
    memory.write(wanted)
    assert np.array_equal(memory.read(), wanted)
