"""Places for nodes, on graphs by chance."""

from __future__ import annotations

import numpy as np
import pytest

from nacre.diagrams.layout import layered


@pytest.mark.parametrize("seed", range(20))
def test_edges_go_down_and_nodes_leave_room_for_each_other(seed: int) -> None:
    random = np.random.default_rng(seed)
    count = int(random.integers(1, 25))
    sizes = {f"n{n}": (float(random.integers(5, 80)), float(random.integers(5, 40))) for n in range(count)}
    pairs = random.integers(0, count, (2 * count, 2)).tolist()
    edges = [(f"n{min(a, b)}", f"n{max(a, b)}") for a, b in pairs if a != b]
    placed = layered(sizes, edges, across=10, down=12)
    for source, target in edges:
        (_, above), (_, below) = placed.centers[source], placed.centers[target]
        assert above + sizes[source][1] / 2 + 12 <= below - sizes[target][1] / 2 + 1e-6
        ys = [y for _, y in placed.bends[source, target]]
        assert ys == sorted(ys)
    names = list(sizes)
    for n, a in enumerate(names):
        (x, y), (width, height) = placed.centers[a], sizes[a]
        assert width / 2 - 1e-6 <= x <= placed.width - width / 2 + 1e-6
        assert height / 2 - 1e-6 <= y <= placed.height - height / 2 + 1e-6
        for b in names[:n]:
            beside = abs(x - placed.centers[b][0]) >= (width + sizes[b][0]) / 2 + 10 - 1e-6
            assert beside or abs(y - placed.centers[b][1]) >= (height + sizes[b][1]) / 2 + 12 - 1e-6


def test_no_nodes_take_no_room() -> None:
    placed = layered({}, [])
    assert (placed.centers, placed.width, placed.height) == ({}, 0.0, 0.0)
