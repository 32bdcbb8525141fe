"""A play without a browser: what was done comes again to the same bits, from a recipe, a link, and a script."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import runpy
import subprocess
import sys
import zlib
from pathlib import Path
from typing import get_args

import msgspec
import numpy as np
import pytest
from starlette.testclient import TestClient

from nacre import activations, initializers, models
from nacre.data import DATASETS
from nacre.errors import DataError, NonFiniteLossError, UsageError
from nacre.studio import application
from nacre.studio.playground import data, recipe, sources
from nacre.studio.playground import player as player_module
from nacre.studio.playground.player import Player, Players, Seen, news
from nacre.studio.playground.recipe import (
    Change,
    Data,
    Layer,
    Recipe,
    Settings,
    Weight,
    from_json,
    from_link,
    to_json,
    to_link,
)
from nacre.studio.playground.script import script
from nacre.studio.playground.session import OPTIMIZERS, SHOWN, Session

TABLE = "a,b,color,kind\n" + "".join(
    f"{k % 7},{k * k % 11 or ''},{'red' if k % 3 else 'blue'},{'uvw'[(k % 7 + k * k % 11) % 3]}\n" for k in range(90)
)
HIDDEN = (Layer("hidden_1", 6), Layer("hidden_2", 3, "relu"))
WIDER = (Layer("hidden_1", 8), Layer("hidden_3", 4), Layer("hidden_2", 3, "relu"))
MOVES = [
    13,
    Change(learning_rate=0.1),
    20,
    Change(noise=0.4),
    Change(batch_size=7),
    11,
    Change(hidden=WIDER),
    30,
    Change(inputs=("x", "xy", "y")),
    9,
    Change(l2=0.01),
    Change(dropout=0.2),
    3,
    Change(weight=Weight("hidden_1", "kernel", (1, 2), 0.5)),
    Change(weight=Weight("output", "bias", (0,), -0.25)),
    40,
    Change(optimizer="momentum", l1=0.001),
    Change(hidden=WIDER, noise=0.2),
    5,
    Change(batch_size=9),
    17,
]  # fmt: skip


def played(recipe: Recipe, moves) -> Session:
    session = Session(recipe)
    for move in moves:
        session.advance(move) if isinstance(move, int) else session.change(move)
    return session


def same(a, b) -> bool:
    found = list(zip(a.get_weights(), b.get_weights(), strict=True))
    return all(p.tobytes() == q.tobytes() for p, q in found) and len(found) >= 2


# ------------------------------------------------------------------ the same bits again


def test_a_recipe_repeats_a_play_bit_by_bit_however_the_steps_are_cut():
    live = played(Recipe(settings=Settings(hidden=HIDDEN, dropout=0.1)), MOVES)
    again = Session(from_link(to_link(live.recipe())))
    while again.ahead:
        again.advance(min(4, again.ahead))
    assert len(live.recipe().changes) > 8
    assert again.step == live.step == 148
    assert same(live.model, again.model)
    assert again.curve == live.curve
    assert again.settings == live.settings
    assert live.settings.hidden == WIDER
    assert again.recipe() == live.recipe()


def test_a_play_is_train_on_batch_over_rows_in_an_order_drawn_for_each_epoch():
    live = played(Recipe(settings=Settings(batch_size=32, dropout=0.2)), [11])
    plain = Session(Recipe(settings=Settings(batch_size=32, dropout=0.2)))
    x, y = plain.problem.training
    batches = []
    for epoch in range(2):
        order = np.random.default_rng([1, 3, epoch]).permutation(210)
        batches += [order[k : k + 32] for k in range(0, 210, 32)]
    for rows in batches[:11]:
        plain.model.train_on_batch(x[rows], y[rows])
    assert same(plain.model, live.model)
    assert live.at == (1, 4 * 32)


def test_another_seed_gives_other_weights():
    assert not same(Session(Recipe(seed=1)).model, Session(Recipe(seed=2)).model)


@pytest.mark.parametrize(
    ("recipe", "moves"),
    [
        (Recipe(settings=Settings(hidden=HIDDEN, dropout=0.1)), MOVES),
        (Recipe(data=Data("function", formula="sin(x) + y^2/4 if x>0 else -x")), [5, Change(noise=0.3), 5]),
        (Recipe(data=Data("digits", rows=300), settings=Settings(hidden=())), [9, Change(hidden=HIDDEN[:1]), 9]),
        (Recipe(data=Data("table", table=TABLE, target="kind"), seed=4), [8, Change(noise=0.2), 8]),
    ],
    ids=["circles", "function", "digits", "table"],
)
def test_the_script_ends_with_the_same_bits(recipe, moves, tmp_path, monkeypatch, capsys):
    live = played(recipe, moves)
    monkeypatch.chdir(tmp_path)
    Path("play.py").write_text(script(live))
    Path("table.csv").write_text(recipe.data.table)
    runpy.run_path("play.py", run_name="__main__")
    assert same(models.load_model("model.safetensors"), live.model)
    assert f"{live.figures()[1][0]}" in capsys.readouterr().out


def test_the_script_needs_nothing_but_nacre_and_numpy(tmp_path):
    live = played(Recipe(), [5])
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", script(live)], cwd=tmp_path, capture_output=True, text=True
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert same(models.load_model(tmp_path / "model.safetensors"), live.model)
    assert "studio" not in script(live)


def test_the_model_of_a_play_opens_as_any_other(tmp_path):
    live = played(Recipe(), [5])
    (tmp_path / "model").write_bytes(live.model_file())
    assert same(models.load_model(tmp_path / "model"), live.model)


def test_a_change_drops_what_a_recipe_had_ahead():
    live = played(Recipe(), [20, Change(noise=0.5), 20])
    again = Session(live.recipe())
    again.advance(10)
    again.change(Change(batch_size=5))
    again.advance(30)
    assert [at for at, _ in again.recipe().changes] == [10]
    assert again.settings.noise == 0.1


# ------------------------------------------------------------------ what is kept


def test_units_that_stay_keep_their_weights_and_layers_behind_a_new_one_are_drawn_anew():
    session = played(Recipe(settings=Settings(hidden=HIDDEN)), [10])
    before = {layer.name: layer.get_weights() for layer in session._dense()}
    session.change(Change(hidden=WIDER))
    after = {layer.name: layer.get_weights() for layer in session._dense()}
    assert np.array_equal(after["hidden_1"][0][:, :6], before["hidden_1"][0])
    assert not np.array_equal(after["hidden_2"][0][:3], before["hidden_2"][0][:3])
    assert np.array_equal(after["hidden_2"][1], before["hidden_2"][1])
    assert np.array_equal(after["output"][0], before["output"][0])


def test_inputs_that_stay_keep_their_weights_wherever_they_stand():
    session = played(Recipe(settings=Settings(inputs=("x", "y"))), [10])
    kernel = session._dense()[0].get_weights()[0]
    session.change(Change(inputs=("x^2", "y", "x")))
    assert np.array_equal(session._dense()[0].get_weights()[0][[2, 1]], kernel)


def test_changes_before_the_first_step_are_another_beginning():
    session = played(Recipe(), [Change(hidden=HIDDEN), Change(noise=0.3)])
    assert session.recipe() == Recipe(settings=Settings(hidden=HIDDEN, noise=0.3))
    assert same(session.model, Session(session.recipe()).model)


def test_a_slider_that_moves_while_nothing_runs_is_one_change():
    session = played(Recipe(), [10, *(Change(learning_rate=rate) for rate in (0.1, 0.2, 0.3)), 1])
    assert session.recipe().changes == ((10, Change(learning_rate=0.3)),)


def test_what_is_refused_changes_nothing():
    session = played(Recipe(), [10])
    before = session.recipe(), session.model.get_weights()
    with pytest.raises(UsageError, match=r"takes .* GB"):
        session.change(Change(hidden=(Layer("hidden_1", 2**39),), noise=0.7))
    with pytest.raises(UsageError, match="no kernel"):
        session.change(Change(weight=Weight("hidden_1", "kernel", (2, 0), 1.0)))
    with pytest.raises(UsageError, match="too long"):
        session.change(Change(hidden=tuple(Layer(f"hidden_{k}", 1) for k in range(1, 400))))
    assert session.recipe() == before[0]
    assert all(np.array_equal(a, b) for a, b in zip(session.model.get_weights(), before[1], strict=True))


def test_a_play_that_diverges_stays_before_that_step_and_repeats():
    wild = Settings(
        optimizer="sgd", learning_rate=1e6, hidden=(Layer("hidden_1", 8, "linear"), Layer("hidden_2", 8, "linear"))
    )
    session = Session(Recipe(data=Data("plane"), settings=wild))
    with pytest.raises(NonFiniteLossError):
        session.advance(1000)
    assert 0 < session.step < 1000
    assert session.model.optimizer.iterations == session.step
    again = Session(session.recipe())
    again.advance(again.ahead)
    assert same(session.model, again.model)
    session.change(Change(learning_rate=0.001))
    session.frame()


# ------------------------------------------------------------------ data


@pytest.mark.parametrize("name", list(sources.PLANE))
def test_a_formula_repeats_for_a_seed_and_fills_the_plane(name):
    points, targets = sources.PLANE[name](400, 5)
    assert np.array_equal(points, sources.PLANE[name](400, 5)[0])
    assert not np.array_equal(points, sources.PLANE[name](400, 6)[0])
    assert points.shape == (400, 2)
    assert 2 < np.abs(points).max() < 4.5
    if targets.dtype.kind == "i":
        assert 120 < targets.sum() < 280


def test_training_and_test_rows_have_nothing_in_common():
    training, test = sources.parts(50, 0.3, 1)
    assert sorted([*training, *test]) == list(range(50))
    assert len(test) == 15


def test_a_table_becomes_scaled_numbers_and_a_column_for_each_term():
    rows = data.load(Data("table", table=TABLE, target="kind", axes=("b", "a")), 1)
    assert rows.classes == ["u", "v", "w"]
    assert [axis.label for axis in rows.axes] == ["b", "a"]
    assert len(rows.labels) == rows.points.shape[1]
    first = rows.labels.index("color is rare or new")
    numbers = rows.points[:, :first]
    assert abs(numbers[rows.training, 0].mean()) < 1e-5
    assert (rows.points[:, first:].sum(1) == 1).all()
    cells = [line.split(",")[2] for line in TABLE.splitlines()[1:]]
    for color in set(cells):  # each is in the column that bears its name
        assert rows.points[:, rows.labels.index(f"color = {color}")].tolist() == [cell == color for cell in cells]
    low, high = rows.axes[1].ends
    assert low < 0 < 6 < high


def test_what_cannot_be_had_is_said_kindly(monkeypatch, tmp_path):
    monkeypatch.setenv("NACRE_HOME", str(tmp_path))
    monkeypatch.delenv("NACRE_DATA", raising=False)
    with pytest.raises(DataError, match="not on this computer yet"):
        data.load(Data("mnist"), 1)
    with pytest.raises(DataError, match="two columns of numbers"):
        data.load(Data("table", table="a,b\n" + "1.5,x\n2.5,y\n" * 20, target="b"), 1)
    with pytest.raises(DataError, match="GB"):
        data.load(Data("circles", rows=2**40), 1)
    with pytest.raises(UsageError, match="empty"):
        data.looked_at(" ")


# ------------------------------------------------------------------ functions


def test_what_a_recipe_may_say_is_what_there_is():
    assert set(get_args(recipe.Source)) == {"function", "table", *sources.PLANE, *DATASETS}
    assert set(get_args(recipe.OptimizerName)) == set(OPTIMIZERS)
    inputs = list(get_args(recipe.Input))
    assert sources.columns(np.ones((1, 2)), inputs).shape == (1, len(inputs))
    for name in get_args(recipe.Activation):
        activations.get(name)
    for name in get_args(recipe.Initializer):
        initializers.get(name)


def test_a_function_must_be_finite_everywhere():
    with pytest.raises(DataError, match="no finite value"):
        data.load(Data("function", formula="log(x)"), 1)


# ------------------------------------------------------------------ recipes of strangers


def test_a_recipe_that_no_play_could_have_made_is_refused():
    whole = to_json(Recipe(step=5, changes=((2, Change(noise=0.2)),)))
    assert from_json(whole).step == 5
    for wrong in (
        whole.replace(b'"step":5', b'"step":1'),
        whole.replace(b"0.2", b"-1"),
        whole.replace(b"circles", b"../etc"),
        whole.replace(b"hidden_2", b"hidden_1"),
        whole[:-1],
        b"[" * 100_000,
        b'{"more":1}',
    ):
        with pytest.raises(UsageError):
            from_json(wrong)


def test_a_link_that_is_damaged_or_would_grow_without_end_is_refused():
    text = to_link(Recipe())
    bomb = base64.urlsafe_b64encode(zlib.compress(bytes(100_000_000), 9)).decode()
    for wrong in (text[:-9], text.replace(text[5], "!"), "", bomb):
        with pytest.raises(UsageError):
            from_link(wrong)


def test_a_large_table_is_in_the_recipe_but_in_no_link():
    large = Recipe(
        data=Data("table", table="a,b,c\n" + "".join(f"{k * 7919 % 10007},{k * k % 99991},{k}\n" for k in range(4000)))
    )
    assert to_link(large) == ""
    assert from_json(to_json(large)) == large


# ------------------------------------------------------------------ frames and threads


def test_a_frame_is_bounded_whatever_the_size_of_the_network():
    session = Session(Recipe(settings=Settings(hidden=(Layer("hidden_1", 900),))))
    frame = session.frame()
    assert len(frame["layers"][0]["pictures"]) == SHOWN
    assert frame["layers"][0]["units"] == 900
    assert len(msgspec.json.encode(frame)) < 60_000


def test_a_page_gets_what_it_lacks_and_never_what_it_missed():
    player = Player(Recipe(), print)
    try:
        seen = Seen()
        first = news(player.shot, seen)
        assert first["shown"]["inputs"] == ["x", "y"]
        assert first["curve"]["from"] == 0
        for _ in range(5):
            player.do(lambda: player.session.advance(3))
        player.do(lambda: None)
        later = news(player.shot, seen)
        assert "shown" not in later
        assert later["step"] == 15
        assert [later["curve"]["from"], len(later["curve"]["points"])] == [1, 15]
        player.do(lambda: player.session.change(Change(noise=0.9)))
        player.do(lambda: None)
        assert news(player.shot, seen)["shown"]["settings"].noise == 0.9
    finally:
        player.end()


def test_who_looks_sees_it_go_on_and_it_rests_when_nobody_does():
    async def look(player):
        steps = []
        events = player.events()
        async for event in events:
            steps.append(event.get("step", 0))
            if steps[-1] > 20:
                break
        await events.aclose()
        return steps

    player = Player(Recipe(), print)
    try:
        player.do(lambda: setattr(player, "playing", True))
        assert player.session.step == 0
        steps = asyncio.run(look(player))
        assert steps == sorted(steps)
        assert not player.watched
        at = player.do(lambda: player.session.step)
        assert player.do(lambda: player.session.step) == at
    finally:
        player.end()
    with pytest.raises(UsageError, match="ended"):
        player.do(lambda: None)


def test_the_longest_unseen_of_too_many_plays_ends_and_comes_back_from_its_recipe():
    players = Players()
    first = players.open(Recipe())
    player = players.get(first)
    player.do(lambda: player.session.advance(7))
    others = [players.open(Recipe()) for _ in range(8)]
    assert player.ended
    back = players.get(first)
    assert back is not player
    back.do(lambda: back.session.advance(back.session.ahead))
    assert same(back.session.model, played(Recipe(), [7]).model)
    assert sum(not players.get(name).ended for name in others[-7:]) == 7


def test_plays_end_when_nobody_has_them_any_more():
    players = Players()
    thread = players.get(players.open(Recipe()))._thread
    assert thread.is_alive()
    del players
    thread.join(10)
    assert not thread.is_alive()


def test_a_play_that_nobody_looks_at_ends_by_itself(monkeypatch):
    monkeypatch.setattr(player_module, "AWAY", 0.05)
    players = Players()
    name = players.open(Recipe())
    player = players._shelf.players[name]
    player._thread.join(10)
    assert player.ended
    assert players.get(name) is not player


def test_the_studio_answers_and_refuses_kindly(tmp_path):
    client = TestClient(application(tmp_path))
    name = client.post("/api/playground/open", json={}).json()["id"]
    assert client.post(f"/api/playground/{name}/step", json={"batches": 4}).status_code == 200
    assert (
        client.post(f"/api/playground/{name}/change", json={"learning_rate": 0.5}).json()["settings"]["learning_rate"]
        == 0.5
    )
    assert client.post(f"/api/playground/{name}/change", json={"learning_rate": -1}).status_code == 400
    both = {"noise": 0.2, "weight": {"layer": "output", "weight": "bias", "place": [0], "value": 1}}
    assert client.post(f"/api/playground/{name}/change", json=both).status_code == 400
    assert client.post(f"/api/playground/{name}/step", json={"batches": 10**9}).status_code == 400
    shared = client.get(f"/api/playground/{name}/share").json()
    assert from_link(shared["link"]).step == 4
    assert client.get(f"/api/playground/{name}/model").headers["content-disposition"].startswith("attachment")
    assert client.post("/api/playground/open", json={"link": shared["link"], "instead": name}).json() == {"id": name}
    assert client.post("/api/playground/nobody/step", json={}).status_code == 400
    found = client.post("/api/playground/table", json={"text": TABLE}).json()
    assert found == {"rows": 90, "columns": ["a", "b", "color", "kind"], "numbers": ["a", "b"], "target": "kind"}
    answer = client.post(
        "/api/playground/open", json={"recipe": {"data": {"source": "function", "formula": "os.system"}}}
    )
    assert answer.status_code == 400
    assert "not known" in answer.json()["error"]


def test_wide_rows_are_judged_by_fewer_of_them():
    session = Session(Recipe())
    assert session.shown()["judged"] == 10_000
    session.problem = dataclasses.replace(session.problem, x=np.zeros((len(session.problem.x), 784), np.float32))
    assert session.shown()["judged"] == 1275


def test_what_is_missing_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("NACRE_HOME", str(tmp_path))
    monkeypatch.delenv("NACRE_DATA", raising=False)
    assert "load_data()" in data.missing()["mnist"]
    place = tmp_path / "shelf" / "mnist"
    place.mkdir(parents=True)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (place / f"{name}-ubyte.gz").touch()
    monkeypatch.setenv("NACRE_DATA", str(tmp_path / "shelf"))
    assert data.missing() == {}
