"""Writes optimizers.json: where Keras 3's optimizers walk and what its schedules give, for `test_optimizers.py`.

Run by hand, with a Python that has Keras and one of its backends:

    KERAS_BACKEND=jax python tests/golden/make_optimizers.py

nacre itself is not needed and not imported. The file records the versions it came from.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
from make_keras import plain

RNG = np.random.default_rng(20250607)
STEPS, STEPS_KEPT = 20, (1, 7, 20)
SIZES = (3, 4, 2)

EVERY: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"learning_rate": 0.1}),
    ("SGD", {"learning_rate": 0.05, "momentum": 0.9}),
    ("SGD", {"learning_rate": 0.05, "momentum": 0.8, "nesterov": True}),
    ("RMSprop", {"learning_rate": 0.01}),
    ("RMSprop", {"learning_rate": 0.002, "momentum": 0.5, "centered": True, "epsilon": 1e-3}),
    ("Adagrad", {"learning_rate": 0.1}),
    ("Adagrad", {"learning_rate": 0.03, "initial_accumulator_value": 0.01, "epsilon": 1e-3}),
    ("Adadelta", {"learning_rate": 1.0}),
    ("Adadelta", {"learning_rate": 3.0, "rho": 0.8, "epsilon": 1e-4}),
    ("Adam", {"learning_rate": 0.01}),
    ("Adam", {"learning_rate": 0.02, "beta_1": 0.7, "beta_2": 0.9, "epsilon": 1e-3}),
    ("Adam", {"learning_rate": 0.02, "beta_2": 0.5, "amsgrad": True}),
    ("AdamW", {"learning_rate": 0.01}),
    ("AdamW", {"learning_rate": 0.02, "weight_decay": 0.5, "amsgrad": True, "beta_2": 0.6}),
    ("Adamax", {"learning_rate": 0.01}),
    ("Adamax", {"learning_rate": 0.02, "beta_1": 0.8, "beta_2": 0.7, "epsilon": 1e-2}),
    ("Nadam", {"learning_rate": 0.01}),
    ("Nadam", {"learning_rate": 0.02, "beta_1": 0.6, "beta_2": 0.9, "epsilon": 1e-3}),
    ("Lion", {"learning_rate": 0.003}),
    ("Lion", {"learning_rate": 0.002, "beta_1": 0.6, "beta_2": 0.8, "weight_decay": 0.3}),
    ("Ftrl", {"learning_rate": 0.1}),
    ("Ftrl", {"learning_rate": 0.2, "l1_regularization_strength": 0.05, "l2_regularization_strength": 0.1}),
    (
        "Ftrl",
        {
            "learning_rate": 0.1,
            "learning_rate_power": -0.7,
            "initial_accumulator_value": 0.3,
            "l2_shrinkage_regularization_strength": 0.2,
            "beta": 0.4,
        },
    ),
    # What can be put around any rule.
    ("SGD", {"learning_rate": 0.1, "weight_decay": 0.2}),
    ("Ftrl", {"learning_rate": 0.1, "weight_decay": 0.2}),
    ("SGD", {"learning_rate": 0.3, "momentum": 0.5, "clipnorm": 0.1}),
    ("SGD", {"learning_rate": 0.3, "momentum": 0.5, "clipvalue": 0.03}),
    ("SGD", {"learning_rate": 0.3, "momentum": 0.5, "global_clipnorm": 0.2}),
    ("Adam", {"learning_rate": 0.02, "beta_2": 0.9, "clipnorm": 100.0}),
    ("RMSprop", {"learning_rate": 0.01, "use_ema": True, "ema_momentum": 0.8}),
    ("SGD", {"learning_rate": 0.1, "use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 3}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "gradient_accumulation_steps": 3}),
    (
        "AdamW",
        {
            "learning_rate": 0.02,
            "gradient_accumulation_steps": 2,
            "global_clipnorm": 0.1,
            "use_ema": True,
            "ema_momentum": 0.9,
            "ema_overwrite_frequency": 4,
        },
    ),
    ("Nadam", {"learning_rate": 0.02, "gradient_accumulation_steps": 4}),
    ("Lion", {"learning_rate": 0.003, "gradient_accumulation_steps": 2, "clipvalue": 0.02}),
]
# (Keras computes 1 - beta_2^t in float32, which is off by 1e-5 where beta_2 is 0.999: large steps are seen with a smaller one.)
SCHEDULED: list[tuple[str, str, dict[str, Any]]] = [
    ("SGD", "ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 5, "decay_rate": 0.5}),
    (
        "Adamax",
        "CosineDecay",
        {"initial_learning_rate": 0.001, "decay_steps": 12, "warmup_target": 0.05, "warmup_steps": 5},
    ),
]
SCHEDULES: list[tuple[str, dict[str, Any]]] = [
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 100, "decay_rate": 0.5}),
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 30, "decay_rate": 0.9, "staircase": True}),
    ("InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 100, "decay_rate": 0.5}),
    ("InverseTimeDecay", {"initial_learning_rate": 0.2, "decay_steps": 7, "decay_rate": 2.0, "staircase": True}),
    ("PiecewiseConstantDecay", {"boundaries": [10, 50, 51], "values": [1.0, 0.5, 0.1, 0.2]}),
    ("PiecewiseConstantDecay", {"boundaries": [100], "values": [0.1, 0.0]}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 100}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 50, "end_learning_rate": 0.01, "power": 0.5}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 50, "power": 2.0, "cycle": True}),
    ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 100}),
    ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 80, "alpha": 0.2}),
    ("CosineDecay", {"initial_learning_rate": 0.0, "decay_steps": 90, "warmup_target": 0.3, "warmup_steps": 20}),
    (
        "CosineDecay",
        {"initial_learning_rate": 0.1, "decay_steps": 50, "alpha": 0.1, "warmup_target": 0.2, "warmup_steps": 0},
    ),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 10}),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 20, "t_mul": 1.0, "m_mul": 0.9}),
    (
        "CosineDecayRestarts",
        {"initial_learning_rate": 0.1, "first_decay_steps": 16, "t_mul": 1.5, "m_mul": 0.5, "alpha": 0.1},
    ),
]
AT = [0, 1, 2, 7, 9, 10, 11, 19, 20, 21, 49, 50, 51, 52, 60, 99, 100, 101, 119, 151, 299, 1000]


def numbers(*shape: int, scale: float = 1.0) -> np.ndarray:
    """Normal numbers with three decimals, which are short to write down."""
    return (RNG.standard_normal(shape) * scale).round(3).astype("float32")


def network(weights: list[np.ndarray], optimizer: keras.optimizers.Optimizer) -> keras.Sequential:
    features, hidden, classes = SIZES
    dense = keras.layers.Dense
    model = keras.Sequential(
        [keras.Input((features,)), dense(hidden, activation="tanh"), dense(classes, activation="softmax")]
    )
    model.set_weights(weights)
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy")
    return model


def walk(weights: list[np.ndarray], x: np.ndarray, y: np.ndarray, optimizer: Any) -> dict[str, Any]:
    """The weights after some of twenty steps, over two batches in turn."""
    model, kept = network(weights, optimizer), {}
    for step in range(1, STEPS + 1):
        model.train_on_batch(x[step % 2], y[step % 2])
        if step in STEPS_KEPT:
            kept[str(step)] = model.get_weights()
    return kept


def walks() -> dict[str, Any]:
    features, hidden, classes = SIZES
    shapes = [(features, hidden), (hidden,), (hidden, classes), (classes,)]
    weights = [numbers(*shape, scale=0.5) for shape in shapes]
    x, y = numbers(2, 8, features), RNG.integers(0, classes, (2, 8))
    given = (weights, x, y)
    make = {name: getattr(keras.optimizers, name) for name, _ in EVERY}
    runs = [{"class": n, "config": c, "weights": walk(*given, make[n](**c))} for n, c in EVERY]
    scheduled = []
    for name, schedule, config in SCHEDULED:
        rate = getattr(keras.optimizers.schedules, schedule)(**config)
        found = walk(*given, make[name](learning_rate=rate))
        scheduled.append({"class": name, "schedule": schedule, "config": config, "weights": found})
    excluding = keras.optimizers.AdamW(learning_rate=0.01, weight_decay=3.0)
    excluding.exclude_from_weight_decay(var_names=["bias"])
    averaged = network(weights, keras.optimizers.SGD(learning_rate=0.1, use_ema=True, ema_momentum=0.7))
    averaged.fit(x[0], y[0], batch_size=4, epochs=3, shuffle=False, verbose=0)
    return {
        "x": x,
        "y": y,
        "weights": weights,
        "runs": runs,
        "scheduled": scheduled,
        "bias_excluded_from_decay": walk(*given, excluding),
        "fitted_with_averages": averaged.get_weights(),
    }


def schedules() -> list[dict[str, Any]]:
    found = []
    for name, config in SCHEDULES:
        schedule = getattr(keras.optimizers.schedules, name)(**config)
        rates = [float(schedule(keras.ops.convert_to_tensor(step, "int32"))) for step in AT]
        full = {k: v for k, v in schedule.get_config().items() if v is not None}
        found.append({"class": name, "config": config, "rates": [float(f"{r:.8g}") for r in rates], "full": full})
    return found


def defaults() -> dict[str, Any]:
    """Arguments that nobody gave."""
    found = {}
    for name in sorted({name for name, _ in EVERY}):
        config = getattr(keras.optimizers, name)().get_config()
        found[name] = {k: float(f"{v:.7g}") if isinstance(v, float) else v for k, v in config.items() if k != "name"}
    return found


def strings() -> dict[str, str]:
    """Which strings Keras takes."""
    found = {}
    for name in sorted({name for name, _ in EVERY}):
        for candidate in (name, name.lower(), keras.src.utils.naming.to_snake_case(name)):
            try:
                found[candidate] = type(keras.optimizers.get(candidate)).__name__
            except ValueError:
                continue
    return found


def public(room: Any) -> list[str]:
    return [name for name in dir(room) if not name.startswith("_")]


def main() -> None:
    """Ask Keras everything, write the file."""
    answers = {
        "keras": keras.__version__,
        "backend": keras.config.backend(),
        "public": {"optimizers": public(keras.optimizers), "schedules": public(keras.optimizers.schedules)},
        "strings": strings(),
        "defaults": defaults(),
        "optimizers": walks(),
        "at": AT,
        "schedules": schedules(),
    }
    text = json.dumps(plain(answers), separators=(",", ":"), allow_nan=False)
    path = Path(__file__).with_name("optimizers.json")
    path.write_text(text.replace(',"', ',\n"') + "\n", encoding="utf-8")
    print(f"{path}: {len(text):,} characters, from Keras {keras.__version__} on {keras.config.backend()}")


if __name__ == "__main__":
    main()
