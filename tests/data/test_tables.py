"""Tables from files and frames, what their columns mean, and how rows are divided."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import json
import lzma
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import feather, parquet

from nacre.data import Features, Table
from nacre.data.columns import as_numbers, guess
from nacre.data.features import CategoryFeature, DateFeature, NumberFeature, Target
from nacre.data.splits import repeated, row_keys, split_rows
from nacre.data.tables import Moments, Numbers, Text
from nacre.errors import DataError, NacreError, UnknownName, UsageError

PEOPLE = "age,city,member,joined\n1.5,Oslo,True,2020-01-02\n,Lima ,False,2021-01-02\n3, Lima,,\n"


def texts(table: Table) -> dict[str, list[str]]:
    return {name: column.text() for name, column in table.columns.items()}


EXPECTED = {
    "age": ["1.5", "", "3"],
    "city": ["Oslo", "Lima", "Lima"],
    "member": ["true", "false", ""],
    "joined": ["2020-01-02", "2021-01-02", ""],
}


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("t.csv", lambda data: data),
        ("t.tsv", lambda data: data.replace(b",", b"\t")),
        ("t.csv.gz", gzip.compress),
        ("t.csv.bz2", bz2.compress),
        ("t.csv.xz", lzma.compress),
        ("semicolons.csv", lambda data: data.replace(b",", b";").replace(b"1.5", b"1,5")),
        ("marked.csv", lambda data: b"\xef\xbb\xbf" + data),
    ],
)
def test_text_is_read_however_it_is_packed_and_separated(name: str, pack: Any, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(pack(PEOPLE.encode()))
    assert texts(Table.read(tmp_path / name)) == EXPECTED


def test_parquet_arrow_feather_zip_and_frames_give_the_same_table(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1.0, None, 3.0], "b": ["x", None, "y"], "c": [True, False, True]})
    frame["d"] = pd.to_datetime(pd.Series(["2020-01-01", None, "2021-06-05 12:30"]), format="ISO8601")
    expected = {
        "a": ["1", "", "3"],
        "b": ["x", "", "y"],
        "c": ["true", "false", "true"],
        "d": ["2020-01-01", "", "2021-06-05T12:30:00.000000"],
    }
    arrow = pa.Table.from_pandas(frame)
    parquet.write_table(arrow, tmp_path / "t.parquet")
    feather.write_feather(arrow, tmp_path / "t.feather")
    with pa.OSFile(str(tmp_path / "t.arrow"), "wb") as sink, pa.ipc.new_file(sink, arrow.schema) as writer:
        writer.write_table(arrow)
    for path in ("t.parquet", "t.feather", "t.arrow"):
        assert texts(Table.read(tmp_path / path)) == expected, path
    for made in (frame, arrow, pl.from_arrow(arrow), pl.from_arrow(arrow).lazy()):
        assert texts(Table.of(made)) == expected, type(made)
    with zipfile.ZipFile(tmp_path / "t.csv.zip", "w") as archive:
        archive.writestr("inside.csv", PEOPLE)
    assert texts(Table.read(tmp_path / "t.csv.zip")) == EXPECTED


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.csv", b"", "is empty"),
        ("t.csv", b"a,b\n1,2\n1,2,3\n", "line 3"),
        ("t.csv", b"a,b\n\x00\x01", "zero bytes"),
        ("t.csv", b"a,b\n\xe4,1\n", "UTF-8"),
        ("t.csv", b'a,b\n"x,1\n', "Cannot read"),
        ("t.csv.gz", b"no gzip", "Cannot read"),
        ("t.csv.gz", gzip.compress(b"a,b\n" + b"1,2\n" * 1000, mtime=0)[:-20], "Cannot read"),
        ("t.csv.xz", b"\xfd7zXZ\x00rest", "Cannot read"),
        ("t.csv.zip", b"PK\x03\x04rest", "Cannot read"),
        ("t.parquet", b"PAR1 no parquet", "Cannot read"),
        ("t.arrow", b"ARROW1\0\0rest", "Cannot read"),
        ("t.feather", b"FEA1rest", "Cannot read"),
    ],
)
def test_what_is_no_table_is_named_with_its_file(name: str, content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        Table.read(tmp_path / name)
    assert name in str(caught.value)


def test_a_file_that_grows_out_of_proportion_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nacre.data.tables.FREE", 1 << 20)
    (tmp_path / "bomb.csv.gz").write_bytes(gzip.compress(b"a\n" + b"0\n" * (1 << 22)))
    with pytest.raises(DataError, match="times its size"):
        Table.read(tmp_path / "bomb.csv.gz")


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=300), st.sampled_from([".csv", ".tsv", ".csv.gz", ".parquet", ".arrow", ".feather", ".csv.zip"])
)
def test_any_bytes_are_a_table_or_a_clear_error(tmp_path_factory: Any, content: bytes, suffix: str) -> None:
    path = tmp_path_factory.mktemp("any") / f"any{suffix}"
    path.write_bytes(content)
    with contextlib.suppress(NacreError):  # and nothing else
        Features.fit(Table.read(path), [])


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200), st.integers(0, 2**32))
def test_any_text_is_a_table_or_a_clear_error(tmp_path_factory: Any, text: str, seed: int) -> None:
    lines = PEOPLE.splitlines()
    lines.insert(seed % 4, text)
    path = tmp_path_factory.mktemp("any") / "any.csv"
    path.write_text("\n".join(lines), encoding="utf-8", errors="replace")
    with contextlib.suppress(NacreError):  # and nothing else
        Features.fit(Table.read(path), [])


def test_files_that_are_not_there_or_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Table.read(tmp_path / "none.csv")
    with pytest.raises(UnknownName, match="kind of table"):
        Table.read(tmp_path / "none.xlsx")
    with pytest.raises(DataError, match=r"differ in length|no table"):
        Table.of({"a": [1, 2], "b": [1]})
    with pytest.raises(NacreError, match="is no table"):
        Table.of(3)


# ------------------------------------------------------------------ what columns are


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (Numbers(np.array([1.0, 2.5, np.nan])), "number"),
        (Numbers(np.array([1.0, 1.0])), "drop"),
        (Numbers(np.full(3, np.nan)), "drop"),
        (Numbers(np.arange(50.0)), "drop"),
        (Text.of(["a", "b", "a", None]), "category"),
        (Text.of([f"name {n}" for n in range(200)]), "drop"),
        (Text.of(["true", "False", None]), "boolean"),
        (Text.of(["1", "2", "3.5", "unknown"] * 5 + ["7"] * 30), "number"),
        (Text.of(["31.12.2024", "01.02.2023", None]), "date"),
        (Text.of(["12/31/2024", "02/01/2023"]), "date"),
        (Text.of(["2024-01-01T10:00:00", "2024-01-01T11:30:00"]), "date"),
        (Moments(np.array(["2024-01-01", "NaT"], "datetime64[us]")), "date"),
    ],
)
def test_columns_are_what_they_look_like(column: Any, kind: str) -> None:
    assert guess(column).kind == kind


def test_numbers_are_scaled_and_holes_are_told() -> None:
    values = np.array([1.0, 2.0, 3.0, np.nan, 4.0])
    feature = NumberFeature.fit("x", Numbers(values))
    found = feature.numbers(values)
    there = ~np.isnan(values)
    np.testing.assert_allclose(found[there, 0], (values[there] - 2.5) / np.std(values[there]), rtol=1e-6)
    assert found[:, 1].tolist() == [0, 0, 0, 1, 0]
    assert found[3, 0] == 0
    uneven = NumberFeature.fit("y", Numbers(np.exp(np.random.default_rng(0).normal(0, 3, 500))))
    assert uneven.log
    assert np.abs(uneven.numbers(np.array([1e30, -5.0]))).max() <= 8
    huge = NumberFeature.fit("z", Numbers(np.array([1e308, -1e308, 0.0])))
    assert np.isfinite(huge.numbers(np.array([1e308, np.nan]))).all()


def _codes(feature: CategoryFeature, words: Text) -> Any:
    return feature.known(words)[words.codes]


def test_rare_and_unseen_terms_are_one_and_none_is_another() -> None:
    feature = CategoryFeature.fit("c", Text.of(["a"] * 9000 + ["b"] * 1000 + ["rare"]))
    assert feature.terms == ["a", "b"]
    assert _codes(feature, Text.of(["b", "a", "rare", "new", None])).tolist() == [3, 2, 0, 0, 1]
    folded = CategoryFeature.fit("f", Text.of(["true", "True", "false"]))
    assert _codes(folded, Text.of(["TRUE", "False", "maybe"])).tolist() == [2, 3, 0]


def test_dates_are_how_late_and_where_in_what_goes_round() -> None:
    column = Text.of(["2024-01-01", "2024-07-01", "2024-12-30", None])
    feature = DateFeature.fit("d", column)
    found = feature.numbers(feature.values(column))
    assert found.shape == (4, feature.width) == (4, 8)
    assert found[0, 0] < found[1, 0] < found[2, 0]
    np.testing.assert_allclose(found[:3, 1:3], [[0, 1], [0, -1], [-0.5, 0.8660254]], atol=1e-6)
    np.testing.assert_allclose(found[0, 5:7], [0, 1], atol=1e-6)  # a Monday
    assert found[3].tolist() == [0] * 7 + [1]
    with pytest.raises(DataError, match="Row 1 of the column 'd' is 'soon'"):
        feature.values(Text.of(["2024-01-01", "soon"]))


def test_targets_are_classes_or_numbers_and_mistakes_name_the_row() -> None:
    classes = Target.fit("t", Text.of(["10", "9", "x", "10"]))
    assert classes.classes == ["9", "10", "x"]
    assert classes.values(Text.of(["x", "9"])).tolist() == [2, 0]
    assert Target.fit("t", Numbers(np.array([0.0, 1.0, 1.0, 0.0, 1.0]))).classes == ["0", "1"]
    number = Target.fit("t", Numbers(np.array([0.5, 1.5, 2.5])))
    assert (number.classes, number.mean) == (None, 1.5)
    with pytest.raises(DataError, match="Row 1 of the target 't' is 'new'"):
        classes.values(Text.of(["x", "new"]))
    with pytest.raises(DataError, match="Row 0 of the target 't' is empty"):
        number.values(Numbers(np.array([np.nan])))
    with pytest.raises(DataError, match="always 'a'"):
        Target.fit("t", Text.of(["a", "a"]))
    with pytest.raises(DataError, match="Row 2 of the column 'n' is 'abc'"):
        as_numbers("n", Text.of(["1", "2", "abc", "xyz"]))


def test_features_come_back_from_json_and_say_what_is_missing() -> None:
    rng = np.random.default_rng(0)
    table = Table.of(
        {
            "n": rng.normal(size=300),
            "c": rng.choice(["u", "v", "w"], 300),
            "d": rng.choice(["2024-01-01", "2024-05-05"], 300),
            "y": rng.choice(["yes", "no"], 300),
        }
    )
    features = Features.fit(table, ["y"], {"d": "category"})
    again = Features.from_config(json.loads(json.dumps(features.get_config())))
    for name, array in features.inputs(table).items():
        np.testing.assert_array_equal(again.inputs(table)[name], array)
    assert [one.kind for one in again.features] == ["number", "category", "category"]
    assert again.words == ["c", "d", "y"]
    codes = features.inputs(table)["categories"]
    assert codes.min() >= 0
    assert codes.max() < features.terms
    with pytest.raises(DataError, match="has no column 'n'"):
        features.inputs(Table.of({"c": ["u"], "d": ["2024-01-01"]}))
    with pytest.raises(UnknownName, match="kind of column"):
        Features.fit(table, ["y"], {"c": "word"})


# ------------------------------------------------------------------ rows


def test_rows_are_divided_in_proportion_and_none_twice() -> None:
    classes = np.array([0] * 80 + [1] * 20)
    parts = split_rows(100, [0.1, 0.2], seed=3, classes=classes)
    assert [len(part) for part in parts] == [70, 10, 20]
    assert sorted(np.concatenate(parts).tolist()) == list(range(100))
    assert [int(classes[part].sum()) for part in parts] == [14, 2, 4]
    again = split_rows(100, [0.1, 0.2], seed=3, classes=classes)
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))
    assert not np.array_equal(parts[0], split_rows(100, [0.1, 0.2], seed=4, classes=classes)[0])


def test_groups_stay_together_and_time_goes_on() -> None:
    groups = np.random.default_rng(0).integers(0, 30, 500)
    parts = split_rows(500, [0.2, 0.2], seed=0, groups=groups)
    sets = [set(groups[part].tolist()) for part in parts]
    assert sum(map(len, sets)) == len(set.union(*sets))
    assert all(60 <= len(part) <= 140 for part in parts[1:])
    times = np.random.default_rng(1).permutation(100).astype("datetime64[D]")
    train, valid, test = split_rows(100, [0.1, 0.2], seed=0, times=times)
    assert times[train].max() < times[valid].min()
    assert times[valid].max() < times[test].min()
    assert (len(train), len(valid), len(test)) == (70, 10, 20)


def test_rows_that_are_the_same_are_found() -> None:
    x = np.random.default_rng(0).random((1000, 7)).astype("float32")
    codes = np.arange(1000, dtype=np.int32)[:, None]
    x[900:910], codes[900:910] = x[:10], codes[:10]
    x[910:915] = x[:5]  # the codes differ
    keys = row_keys([x, codes])
    assert repeated([keys[:900], keys[900:]]) == [10]
    pictures = np.zeros((4, 5, 5, 3), np.uint8)
    pictures[1] += 1
    pictures[2] += 2
    assert repeated([row_keys([pictures[:2]]), row_keys([pictures[2:]])]) == [1]
    long = np.repeat(np.arange(6.0)[[0, 1, 0], None], 5000, 1)
    assert repeated([row_keys([long[:2]]), row_keys([long[2:]])]) == [1]


@pytest.mark.parametrize(
    ("shares", "words"), [([1.0], "nothing to train"), ([0.6, 0.5], "nothing to train"), ([0.01], "too few")]
)
def test_shares_that_cannot_be(shares: list[float], words: str) -> None:
    with pytest.raises(NacreError, match=words):
        split_rows(10, shares, seed=0)
    with pytest.raises(UsageError, match="not by both"):
        split_rows(10, [0.2], seed=0, groups=np.zeros(10), times=np.zeros(10))


def test_holes_in_dictionaries_times_in_zones_and_odd_columns(tmp_path: Path) -> None:
    words = pd.Categorical(["x", None, "y", None])
    times = pd.to_datetime(["2024-01-01T23:30:00+00:00", None] * 2, format="ISO8601", utc=True)
    frame = pd.DataFrame({"c": words, "t": times, "b": pd.Series([True, None] * 2, dtype="boolean")})
    frame.to_parquet(tmp_path / "t.parquet")
    tokyo = frame.assign(t=frame["t"].dt.tz_convert("Asia/Tokyo"))
    expected = {"c": ["x", "", "y", ""], "t": ["2024-01-01T23:30:00.000000", ""] * 2, "b": ["true", ""] * 2}
    for table in (Table.read(tmp_path / "t.parquet"), Table.of(frame), Table.of(tokyo)):
        assert texts(table) == expected
    odd = Table.of(pa.table({"a": [1.0, 2.0], "l": [[1], [2, 3]]}))
    assert list(odd.columns) == ["a"]
    assert "l" in odd.take(np.array([0])).left_out
    assert "l" in Features.fit(odd, [], {"a": "number", "l": "drop"}).dropped


def test_headers_and_fractions(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("date;price\n01.03.2024;99,5\n02.03.2024;7,25\n")
    assert texts(Table.read(path))["price"] == ["99.5", "7.25"]
    path.write_text("a, a\n1,2\n")
    with pytest.raises(DataError, match="two columns called 'a'"):
        Table.read(path)
    path.write_text(",b\n1,2\n3,4\n")
    assert list(Table.read(path).columns) == ["column_1", "b"]
    path.write_text("zip ,b\n01,2\n007,3\n")
    assert texts(Table.read(path, ["zip"]))["zip"] == ["01", "007"]
    path.write_text("0,1\n5,6\n")
    assert texts(Table.read(path)) == {"column_1": ["0", "5"], "column_2": ["1", "6"]}
    assert texts(Table.read(path, names=["0", "1", "y"])) == {"0": ["5"], "1": ["6"]}


def test_whole_numbers_written_as_fractions_are_the_same_terms() -> None:
    feature = CategoryFeature.fit("c", Text.of(["10", "20", "20"]))
    assert _codes(feature, Text.of(["10.0", "20", "10.5"])).tolist() == [3, 2, 0]
    assert Target("y", ["0", "1"]).values(Text.of(["1.0", "0"])).tolist() == [1, 0]


def test_targets_that_float32_cannot_tell_apart_are_refused() -> None:
    for values in (1e9 + np.arange(5.0), 1e21 * np.arange(5.0), 1e-25 * np.arange(5.0)):
        with pytest.raises(DataError, match="told apart"):
            Target.fit("y", Numbers(values + 0.0), "number")


def test_rare_classes_are_in_all_parts_together() -> None:
    classes = np.repeat(np.arange(66), 3)
    parts = split_rows(198, [0.15, 0.15], seed=0, classes=classes)
    assert [len(part) for part in parts] == [139, 30, 29]
    assert all(np.bincount(classes[part]).max() <= (3, 1, 1)[n] for n, part in enumerate(parts))
