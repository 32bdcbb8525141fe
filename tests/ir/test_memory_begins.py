"""The first value of a memory, when several threads want it."""

import threading
import time

import numpy as np

import nacre
from nacre.ir import Memory, TensorType


def test_a_value_written_while_the_first_one_is_made_is_not_lost():
    started = threading.Event()

    def slow():
        started.set()
        time.sleep(0.05)
        return np.zeros((2, 3), dtype=np.float32)

    memory = Memory(TensorType((2, 3)), slow)
    reader = threading.Thread(target=memory.read)
    reader.start()
    started.wait()
    memory.write(np.ones((2, 3)))
    reader.join()
    assert memory.read().tolist() == np.ones((2, 3)).tolist()


def test_the_first_value_of_a_matrix_is_not_copied():
    """Beside a copy, a large one would take its memory twice."""
    drawn = np.ones((40, 50), dtype=np.float32)
    assert np.shares_memory(Memory(TensorType((40, 50)), lambda: drawn).read(), drawn)
    for other in (np.ones((50, 40), np.float32).T, np.ones((40, 50)), np.float32(1)):  # these are put into its form
        memory = Memory(TensorType((40, 50)), lambda other=other: other)
        assert (memory.read().dtype, memory.read().flags.c_contiguous, memory.read().sum()) == ("float32", True, 2000)


def test_an_array_that_a_function_of_the_users_gives_for_a_weight_stays_as_it_is():
    mine = np.ones((3, 2), dtype=np.float32)
    layer = nacre.layers.Dense(2, kernel_initializer=lambda shape, dtype: mine)
    nacre.Sequential([nacre.Input((3,)), layer])
    layer.get_weights()
    layer.set_weights([np.zeros((3, 2)), np.zeros(2)])  # over what it has
    assert mine.tolist() == np.ones((3, 2)).tolist()
