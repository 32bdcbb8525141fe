"""Where the playground's rows come from. A script made of a play holds these functions as they stand here."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.data import Features, Table, Target

Array = npt.NDArray[Any]


def circles(rows: int, seed: int) -> tuple[Array, Array]:
    """A disk of class 1 within a ring of class 0, in the plane from -3 to 3.   -> (rows, 2), (rows,)"""
    rng = np.random.default_rng([seed, 0])
    classes = np.arange(rows) % 2
    radius = np.where(classes == 1, 1.3 * np.sqrt(rng.uniform(size=rows)), rng.uniform(2.0, 2.8, rows))
    angle = rng.uniform(0, 2 * np.pi, rows)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1), classes


def xor(rows: int, seed: int) -> tuple[Array, Array]:
    """Class 1 where both coordinates have the same sign, with a gap along the axes.   -> (rows, 2), (rows,)"""
    points = np.random.default_rng([seed, 0]).uniform(-2.7, 2.7, (rows, 2))
    points += np.where(points >= 0, 0.2, -0.2)
    return points, (points[:, 0] * points[:, 1] > 0).astype(np.int64)


def spiral(rows: int, seed: int) -> tuple[Array, Array]:
    """Two arms that turn one and a half times around the middle.   -> (rows, 2), (rows,)"""
    classes = np.arange(rows) % 2
    way = np.random.default_rng([seed, 0]).uniform(0.08, 1.0, rows)
    angle = 3 * np.pi * way + np.pi * classes
    return 2.9 * way[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1), classes


def gaussians(rows: int, seed: int) -> tuple[Array, Array]:
    """Two round clouds, normally distributed.   -> (rows, 2), (rows,)"""
    classes = np.arange(rows) % 2
    return np.random.default_rng([seed, 0]).normal(np.where(classes == 1, 1.3, -1.3)[:, None], 0.6, (rows, 2)), classes


def plane(rows: int, seed: int) -> tuple[Array, Array]:
    """Numbers that grow evenly in one direction.   -> (rows, 2), (rows,)"""
    points = np.random.default_rng([seed, 0]).uniform(-3, 3, (rows, 2))
    return points, (2 * points[:, 0] + points[:, 1]) / 6


def even(rows: int, seed: int) -> Array:
    """Points spread evenly over the plane from -3 to 3.   -> (rows, 2)"""
    return np.random.default_rng([seed, 0]).uniform(-3, 3, (rows, 2))


def pictures(dataset: Any, rows: int, seed: int) -> tuple[Array, Array]:
    """The first rows of both parts of a data set, shuffled; pixels from 0 to 1.   -> (rows, pixels), (rows,)"""
    (x_train, y_train), (x_test, y_test) = dataset.load_data()
    images, labels = np.concatenate([x_train, x_test]), np.concatenate([y_train, y_test])
    chosen = np.random.default_rng([seed, 0]).permutation(len(images))[:rows]
    return images[chosen].reshape(len(chosen), -1) / dataset.scale, labels[chosen].astype(np.int64)


def from_table(path: Any, target: str, rows: int, share: float, seed: int) -> tuple[Array, Array, Features]:
    """The first rows of a table that have a target: numbers scaled by what the rows to train on say, each term a column."""
    table = Table.read(path)
    goal = Target.fit(target, table[target])
    table = table.take(np.flatnonzero(goal.there(table[target]))[:rows])
    training, _ = parts(len(table), share, seed)
    features = Features.fit(table.take(training), [goal])
    found = features.inputs(table)
    numbers = found.get("numbers", np.zeros((len(table), 0), np.float32))
    terms = np.zeros((len(table), features.terms), np.float32)
    if "categories" in found:
        np.put_along_axis(terms, found["categories"], 1.0, 1)
    targets = goal.values(table[target])
    if goal.classes is None:
        return np.concatenate([numbers, terms], 1), (targets[:, 0] - goal.mean) / goal.scale, features
    return np.concatenate([numbers, terms], 1), targets, features


def parts(rows: int, share: float, seed: int) -> tuple[Array, Array]:
    """Numbers of the rows to train on, and of those to test on, a ``share`` of all, drawn by chance."""
    order = np.random.default_rng([seed, 2]).permutation(rows)
    tested = min(rows - 1, max(1, round(share * rows)))
    return order[tested:], order[:tested]


def noisy(points: Array, targets: Array, noise: float, seed: int) -> tuple[Array, Array]:
    """Normal noise on the targets if they are numbers, else on the points; of another strength, it is the same times a number."""
    rng = np.random.default_rng([seed, 1])
    if targets.dtype.kind == "f":
        return points, targets + noise * rng.normal(size=targets.shape)
    return points + noise * rng.normal(size=points.shape), targets


def columns(points: Array, names: list[str]) -> Array:
    """What the network takes of points in the plane.   (rows, 2) -> (rows, names)"""
    x, y = points[:, 0], points[:, 1]
    known = {"x": x, "y": y, "x^2": x * x, "y^2": y * y, "xy": x * y, "sin x": np.sin(x), "sin y": np.sin(y)}
    return np.stack([known[name] for name in names], 1).astype(np.float32)


PLANE = {one.__name__: one for one in (circles, xor, spiral, gaussians, plane)}
