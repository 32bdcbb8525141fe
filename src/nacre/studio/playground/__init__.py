"""The playground: a network built by hand that learns before one's eyes, in the real engine.

``recipe`` is what was done, as data; ``session`` does it; ``script`` writes it as Python; ``player`` gives it a thread and frames.
"""

from __future__ import annotations

from typing import Annotated, Any, get_args

import msgspec
from msgspec import Meta, structs
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from nacre.errors import UsageError
from nacre.studio import api
from nacre.studio.playground import recipe as parts
from nacre.studio.playground.data import looked_at, missing
from nacre.studio.playground.player import Player, Players
from nacre.studio.playground.recipe import (
    MOST_TABLE,
    Change,
    Recipe,
    Seed,
    Settings,
    from_json,
    from_link,
    to_json,
    to_link,
)
from nacre.studio.playground.script import script
from nacre.studio.playground.session import SHOWN

_MOST_STEPS = 100_000  # that one click takes


class Open(msgspec.Struct, forbid_unknown_fields=True):
    """A play to begin: a recipe, the text of one in a link or a file, or none; in the place of the play ``instead``, if given."""

    recipe: Recipe | None = None
    link: str = ""
    file: str = ""
    instead: str = ""


class Play(msgspec.Struct, forbid_unknown_fields=True):
    """Whether to go on by itself, and how many steps a second; 0 is as fast as it goes."""

    on: bool | None = None
    speed: float | None = None


class Step(msgspec.Struct, forbid_unknown_fields=True):
    """So many batches, or to the end of the epoch."""

    batches: int = 1
    epoch: bool = False


class Begin(msgspec.Struct, forbid_unknown_fields=True):
    """Begin again, perhaps with another seed."""

    seed: Seed | None = None


class Text(msgspec.Struct, forbid_unknown_fields=True):
    """The text of a table."""

    text: Annotated[str, Meta(max_length=MOST_TABLE)]


def routes(players: Players) -> list[BaseRoute]:
    """Its addresses, below /api."""
    computed = api.turns()

    def there(name: str) -> dict[str, str]:
        players.get(name)
        return {"id": name}

    def begun(body: Begin, name: str) -> dict[str, Any]:
        player = players.get(name)
        players.replace(name, player.do(lambda: player.session.begun_again(body.seed)))
        return {}

    async def model(request: Request) -> Response:
        def written() -> bytes:
            player = players.get(request.path_params["name"])
            return player.do(lambda: player.session.model_file())

        content = await computed(written)
        headers = {"Content-Disposition": 'attachment; filename="model.safetensors"'}
        return Response(content, media_type="application/octet-stream", headers=headers)

    return [
        api.ask("/playground/choices", _choices),
        api.tell("/playground/open", lambda body: _opened(players, body), Open),
        api.tell("/playground/table", lambda body: looked_at(body.text), Text),
        api.ask("/playground/{name}", there),
        api.tell("/playground/{name}/play", lambda body, name: _played(players.get(name), body), Play),
        api.tell("/playground/{name}/step", lambda body, name: _stepped(players.get(name), body), Step),
        api.tell("/playground/{name}/change", lambda body, name: _changed(players.get(name), body), Change),
        api.tell("/playground/{name}/begin", begun, Begin),
        api.ask("/playground/{name}/share", lambda name: _shared(players.get(name))),
        Route("/playground/{name}/model", model, methods=["GET"]),
        api.stream("/playground/{name}/events", lambda name: players.get(name).events()),
    ]


def _opened(players: Players, body: Open) -> dict[str, str]:
    """A play of its own, or in the place of another; its id."""
    wanted = body.recipe or Recipe()
    wanted = from_link(body.link) if body.link else from_json(body.file.encode()) if body.file else wanted
    if not body.instead:
        return {"id": players.open(wanted)}
    if wanted.data.source == "table" and not wanted.data.table:  # the page does not send it again and again
        player = players.get(body.instead)
        table = player.do(lambda: player.session.recipe().data.table)
        wanted = structs.replace(wanted, data=structs.replace(wanted.data, table=table))
    players.replace(body.instead, wanted)
    return {"id": body.instead}


def _played(player: Player, body: Play) -> dict[str, Any]:
    def play() -> None:
        if body.on is not None:
            player.playing, player.trouble = body.on, None
        if body.speed is not None and 0 <= body.speed <= 1e6:
            player.speed = body.speed

    player.do(play)
    return {}


def _stepped(player: Player, body: Step) -> dict[str, Any]:
    if not 1 <= body.batches <= _MOST_STEPS:
        raise UsageError(f"So many steps at once are 1 to {_MOST_STEPS:,}.")

    def step() -> None:
        player.playing, player.trouble = False, None
        player.take(player.session.steps_to_epoch() if body.epoch else body.batches)

    player.do(step)
    return {}


def _changed(player: Player, body: Change) -> dict[str, Any]:
    def change() -> Settings:
        player.trouble = None
        player.session.change(body)
        return player.session.settings

    return {"settings": player.do(change)}


def _shared(player: Player) -> dict[str, str]:
    """All that a play can be had as."""
    recipe, text = player.do(lambda: (player.session.recipe(), script(player.session)))
    return {"link": to_link(recipe), "recipe": to_json(recipe).decode(), "script": text, "table": recipe.data.table}


def _choices() -> dict[str, Any]:
    """What can be chosen, and what one begins with."""
    return {
        "sources": get_args(parts.Source),
        "inputs": get_args(parts.Input),
        "activations": get_args(parts.Activation),
        "initializers": get_args(parts.Initializer),
        "optimizers": get_args(parts.OptimizerName),
        "shown": SHOWN,
        "missing": missing(),
    }


__all__ = ["routes"]
