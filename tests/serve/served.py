"""Models of every kind that is served, small and repeatable."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image
from talk import Reply, ask

import nacre
from nacre.data import Features, Pictures
from nacre.data.tables import Table
from nacre.models import Model
from nacre.recipes import picture_network, table_network

PEOPLE = Table.of(
    {
        "age": [30, 41, 28, None] * 15,
        "city": ["Oslo", "Lima", "Oslo", "Rome"] * 15,
        "born": ["2024-01-01", "2023-05-05", "2022-02-02", "2021-01-01"] * 15,
        "paid": ["yes", "no", "no", "no"] * 15,
        "debt": [1.5, 200.25, 37.125, 4.0] * 15,
    }
)


def models() -> dict[str, Model]:
    nacre.utils.set_random_seed(3)
    dense = nacre.layers.Dense
    plain = nacre.Sequential([nacre.Input((4,), name="x"), dense(8, "tanh"), dense(3, "softmax")])
    a, b = nacre.Input((2,), name="a"), nacre.Input((2, 3), name="b")
    joined = nacre.layers.Concatenate()([a, nacre.layers.Flatten()(b)])
    several = nacre.Model([a, b], [dense(1, name="one")(joined), dense(2, "softmax", name="two")(joined)])
    terms = nacre.Sequential(
        [nacre.Input((3,), dtype="int32"), nacre.layers.Embedding(5, 4), nacre.layers.Flatten(), dense(2, "softmax")]
    )
    people = table_network(Features.fit(PEOPLE, ["paid", "debt"]), [8], "relu", 0.0)
    pets = picture_network(Pictures(8, 8, "rgb", "crop", ["cat", "<b>dog</b>"]), [8], "relu", 0.0, {})
    digits = nacre.Sequential(
        [nacre.Input((8, 8)), nacre.layers.Rescaling(1 / 16), nacre.layers.Flatten(), dense(10, "softmax")]
    )
    return {
        "plain": plain,
        "several": several,
        "terms": terms,
        "people": people,
        "pets": pets,
        "digits": digits,
        "counted": plain,
    }


def png(color: tuple[int, int, int], size: tuple[int, int] = (20, 30)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, color).save(file, "PNG")
    return file.getvalue()


def in_base64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}


def post(url: str, path: str, document: Any, headers: Mapping[str, str] | None = None) -> Reply:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return ask(url, path, "POST", body, {"Content-Type": "application/json", **(headers or {})})


def as_float32(numbers: Any) -> Any:
    return np.asarray(numbers, np.float32)
