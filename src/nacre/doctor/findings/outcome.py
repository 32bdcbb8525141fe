"""What comes of the training: too much was learned of the rows, or too little of anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from nacre.doctor.case import Case, Described
from nacre.doctor.facts import Facts, how_far_of, learned
from nacre.doctor.finding import Finding, Fix, many
from nacre.training.monitors import EarlyStopping

_STOP = (
    "Stop at the best epoch, drop units at random, and keep weights small; more rows help most.",
    "Dropout(0.4)  # behind each hidden layer\n"
    "model.fit(x, y, validation_data=(x_val, y_val), callbacks=[nacre.callbacks.EarlyStopping(patience=3)])",
)
_POOR = 0.85  # of what there is to learn


def gap(facts: Facts) -> Iterator[Finding]:
    """Rows that are learned by heart."""
    history = facts.history if len(facts.history.get("val_loss", ())) > 4 else facts.trial.epochs
    train, judged = history.get("loss", []), history.get("val_loss", [])
    if len(judged) < 4 or facts.trial.broke:
        return
    best = int(np.nanargmin(judged))
    last = float(np.mean(judged[-2:]))
    far = facts.learned - facts.judged
    rises = best < len(judged) - 2 and last > 1.25 * judged[best]
    if not rises and far < 0.25:
        return
    memorized = facts.task.kind == "classes" and facts.judged < 0.1 and far > 0.25
    if not memorized and (not rises or far < 0.1) and far < 0.35:
        return
    weights, rows = facts.case.model.count_params(), len(facts.case)
    numbers: dict[str, Any] = {
        "loss on rows trained on, in the end": float(train[-1]),
        "validation loss, in the end": last,
        "validation loss at its best": f"{judged[best]:.4g} in epoch {best + 1} of {len(judged)}",
        "learned of the rows trained on": facts.learned,
        "learned of other rows": facts.judged,
        "weights for each row": weights / rows,
    }
    if facts.case.given and len(facts.case) >= 200 and far > 0.25 and (held := _elsewhere(facts)) - facts.judged > 0.25:
        numbers = {
            "learned of rows held out of those trained on": held,
            "learned of the rows for validation": facts.judged,
        }
        why = (
            "Rows that were held out of the training are predicted well, those given for validation are not: they, or "
            "their labels, are "
            "not like the others. Were they read, scaled, numbered or ordered in another way?"
        )
        title = "the rows for validation are unlike those trained on"
        yield Finding("validation data differ", title, 78, numbers, why, structure=True)
        return
    fix = Fix(*_STOP, restrained, keeps=True)
    if memorized:
        why = (
            "There are enough weights to remember each row, and nothing else was learned: on other rows it guesses. "
            "Either the labels have "
            "nothing to do with the inputs (mixed up, shifted by a row?), or the network is far too large for so few rows."
        )
        yield Finding("memorizing", "rows are learned by heart; others are guessed", 66, numbers, why, fix)
    else:
        why = (
            "From some epoch on the network learns what is special about the rows it sees, noise included, and "
            "becomes worse on all others. The "
            "more weights there are for each row, the sooner."
        )
        yield Finding("over-fitting", f"the validation was best in epoch {best + 1}", 62, numbers, why, fix)


def too_short(facts: Facts) -> Iterator[Finding]:
    """A training that ends while the network still learns fast."""
    meant, judged = facts.case.epochs, facts.trial.epochs.get("val_loss", [])
    if meant is None or len(judged) < 2 * meant or facts.judged < 0.3:
        return
    then, last = judged[meant - 1], float(np.mean(judged[-2:]))
    if then < 2 * last:
        return
    numbers = {
        f"validation loss after {many(meant, 'epoch')}": then,
        f"after {many(len(judged), 'epoch')}": last,
        "steps of an epoch": -(-facts.plan[0] // facts.case.batch_size),
    }
    why = "The network is on its way, and the training ends: so few steps move the weights only so far."
    more = len(judged)
    fix = Fix("Train for longer.", f"model.fit(x, y, epochs={more})", lambda case: case.with_(epochs=more).fresh())
    yield Finding(
        "too few epochs", f"{many(meant, 'epoch')} of so few rows are too few", 55, numbers, why, fix, structure=True
    )


def too_small(facts: Facts) -> Iterator[Finding]:
    """A network that cannot express what the data say."""
    if facts.task.kind == "other" or facts.learned > _POOR or not facts.links or facts.trial.broke:
        return
    widths = [link.dense.units for link in facts.links[:-1]]
    needed = max(8, min(64, facts.task.classes))
    narrow = [link for link in facts.links[:-1] if link.dense.units < needed]
    if widths and not narrow:
        return
    linear = not widths
    numbers: dict[str, Any] = {
        "learned of the rows trained on": facts.learned,
        "widths of hidden layers": ", ".join(map(str, widths)) or "there are none",
        "weights": facts.case.model.count_params(),
    }
    why = (
        "Without a hidden layer, each input adds its part to the score by itself: products, circles and either-or "
        "cannot be expressed."
        if linear
        else "All that later layers know comes through these few units: what does not fit through is lost."
    )
    fix = Fix(
        "Add a hidden layer of 64 units." if linear else "Make narrow layers wider.",
        'Dense(64, activation="relu", kernel_initializer="he_normal"),  # before the last layer'
        if linear
        else 'Dense(64, activation="relu")',
        lambda case: widened(case, needed),
    )
    title = "the network is linear" if linear else f"{narrow[0].name!r} has {narrow[0].dense.units} units"
    yield Finding("under-fitting", title, 69, numbers, why, fix, sure=False, needed=0.1)


def remedies(facts: Facts) -> Iterator[Finding]:
    """When the network learns little and no cause is known: what a usual network and optimizer make of the same rows."""
    if facts.task.kind == "other" or facts.learned > 0.6 or not facts.links:
        return
    guessing = facts.judged < 0.1
    numbers = {
        "learned of the rows trained on (0: nothing, 1: all)": facts.learned,
        "learned of other rows": facts.judged,
    }
    title = (
        "other rows are hardly better than guessed" if guessing else "a usual network learns far more of the same rows"
    )
    why = (
        "No single cause stands out. Relu with He's weights and Adam are a beginning that nearly always learns; go on "
        "from there, one "
        "change at a time. If other rows stay guessed, there are too few of them, or the inputs do not tell."
    )
    code = 'Dense(64, activation="relu", kernel_initializer="he_normal")\nmodel.compile("adam", loss)'
    fix = Fix("Begin with relu, He's weights and Adam.", code, usual)
    yield Finding("does not learn", title, 50, numbers, why, fix, sure=guessing, needed=0.2)


def chance(facts: Facts) -> Iterator[Finding]:
    """Other rows are only guessed, by this network and by a usual one."""
    if facts.task.kind == "other" or facts.judged > 0.08 or not facts.links or facts.trial.broke:
        return
    found = facts.try_(usual(facts.case))
    others = how_far_of(found, facts.task)
    if others > 0.12 or others > 0.3 * learned(found, facts.task) + 0.05:
        return
    by_heart = facts.learned > 0.25
    if facts.learned < 0.05 and learned(found, facts.task) > 0.5:
        return  # a usual network does learn these rows, which this one does not
    numbers = {
        "learned of the rows trained on (0: nothing, 1: all)": facts.learned,
        "learned of other rows": facts.judged,
        "a usual network, of the rows trained on": learned(found, facts.task),
        "a usual network, of other rows": others,
        "weights for each row": facts.case.model.count_params() / len(facts.case),
    }
    if by_heart:
        why = (
            "There are enough weights to remember each row, and nothing else was learned: on other rows it guesses. "
            "The labels seem to "
            "have nothing to do with the inputs: were they mixed up, or shifted by a row?"
        )
        yield Finding(
            "memorizing",
            "rows are learned by heart; others are guessed",
            77,
            numbers,
            why,
            Fix(*_STOP, restrained, keeps=True),
        )
    else:
        why = (
            "No network finds anything in the inputs that tells the target of another row. Are rows and targets in "
            "the same order, and do "
            "the inputs hold what the target hangs on?"
        )
        yield Finding("no signal", "the inputs say nothing of the targets", 77, numbers, why)


def _elsewhere(facts: Facts) -> float:
    """How far a training on most of the rows comes on the rest of them."""
    order = np.random.default_rng(0).permutation(len(facts.case))
    held, kept = np.split(order, [len(order) // 5])
    x, y = ({n: a[held] for n, a in part.items()} for part in (facts.case.x, facts.case.y))
    return how_far_of(facts.try_(facts.case.take(np.sort(kept)).with_(x_validation=x, y_validation=y)), facts.task)


def restrained(case: Case) -> Case:
    """The case with dropout, and stopped early."""

    def change(layer: Described) -> Any:
        name = layer["config"]["name"]
        if name not in wide:
            return layer
        return [layer, {"class_name": "Dropout", "config": {"rate": 0.4, "name": f"dropout_behind_{name}"}}]

    dense = [layer for layer in case.model.layers if type(layer).__name__ == "Dense"]
    sequential = type(case.model).__name__ == "Sequential"
    dropped = any(type(layer).__name__ == "Dropout" for layer in case.model.layers)
    wide = {layer.name for layer in dense[:-1] if layer.units >= 32} if sequential and not dropped else set()
    again = case.rebuilt(change)
    return again.with_(stop=lambda: [*case.stop(), EarlyStopping(patience=5)])


def widened(case: Case, least: int) -> Case:
    """The case with hidden layers of at least so many units; with one, if there was none."""
    dense = [layer.name for layer in case.model.layers if type(layer).__name__ == "Dense"]

    def change(layer: Described) -> Any:
        config = layer["config"]
        if layer["class_name"] == "Dense" and config["name"] == dense[-1] and len(dense) == 1:
            came = {name: config.get(name) for name in ("input_shape", "input_dim")}
            he = {"class_name": "HeNormal", "config": {}}
            first = {"units": 64, "activation": "relu", "kernel_initializer": he, "name": "hidden", **came}
            last = config | dict.fromkeys(came)
            return [{"class_name": "Dense", "config": first}, layer | {"config": last}]
        if layer["class_name"] == "Dense" and config["name"] in dense[:-1] and config["units"] < least:
            return layer | {"config": config | {"units": 64}}
        return layer

    return case.rebuilt(change) if dense and type(case.model).__name__ == "Sequential" else case


def usual(case: Case) -> Case:
    """The case as most would begin: hidden layers of relu with He's weights, Adam, batches of 32, nothing that holds it back."""
    dense = [layer.name for layer in case.model.layers if type(layer).__name__ == "Dense"]

    def change(layer: Described) -> Described:
        config: dict[str, Any] = {
            name: None if name.endswith("_regularizer") else value for name, value in layer["config"].items()
        }
        if layer["class_name"] == "Dropout":
            config |= {"rate": min(float(config["rate"]), 0.2)}
        if layer["class_name"] == "Dense" and config["name"] in dense[:-1]:
            he = {"class_name": "HeNormal", "config": {}}
            config |= {"activation": "relu", "kernel_initializer": he, "bias_initializer": "zeros"}
        return layer | {"config": config}

    adam = {"class_name": "Adam", "config": {"learning_rate": 0.003}}
    case = widened(case, 16).rebuilt(change).compiled_as(optimizer=adam)
    return case.with_(class_weight=None, batch_size=min(case.batch_size, 32))


RULES = (chance, gap, too_short, too_small)
BY_HEART = ("over-fitting", "memorizing")
LAST = (remedies,)  # when no other cause was found
