"""Where in the arena each buffer lies: buffers that are never alive together share their place."""

from __future__ import annotations

from bisect import bisect_left, insort

_ALIGNMENT = 64


def place(sizes: list[int], lifetimes: list[tuple[int, int]]) -> tuple[list[int], int]:
    """Offsets of the buffers, and the bytes of the arena.

    ``lifetimes`` are (first step, last step), both inclusive. In the order in which buffers are born, each takes the smallest
    gap that fits, or grows the arena.

    >>> place([64, 100, 64], [(0, 1), (1, 2), (2, 3)])
    ([0, 64, 0], 192)
    """
    offsets = [0] * len(sizes)
    end = 0
    gaps: list[tuple[int, int]] = []  # (bytes, offset), smallest first
    dying = sorted(range(len(sizes)), key=lambda b: lifetimes[b][1])
    dead = 0
    for buffer in sorted(range(len(sizes)), key=lambda b: (lifetimes[b][0], b)):
        while lifetimes[dying[dead]][1] < lifetimes[buffer][0]:
            _release(gaps, offsets[dying[dead]], _rounded(sizes[dying[dead]]))
            dead += 1
        need = _rounded(sizes[buffer])
        found = bisect_left(gaps, (need, -1))
        if found < len(gaps):
            size, offsets[buffer] = gaps.pop(found)
            if size > need:
                insort(gaps, (size - need, offsets[buffer] + need))
        else:
            offsets[buffer] = end
            end += need
    return offsets, end


def _rounded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _release(gaps: list[tuple[int, int]], offset: int, size: int) -> None:
    """Give a gap back, joined with its neighbors."""
    if size == 0:
        return
    for gap in [g for g in gaps if g[1] + g[0] == offset or g[1] == offset + size]:
        gaps.remove(gap)
        offset, size = min(offset, gap[1]), size + gap[0]
    insort(gaps, (size, offset))
