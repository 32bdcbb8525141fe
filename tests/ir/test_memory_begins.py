"""The first value of a memory, when several threads want it."""

import threading
import time

import numpy as np

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
