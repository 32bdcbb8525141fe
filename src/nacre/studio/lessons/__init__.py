"""The view lessons: a book whose pages one can change. To add one: a `Lesson` in a file here, and its name below, where it is read.

>>> [lesson.name for lesson in CHAPTERS["Slopes"]]
['tangent', 'gradient-field', 'ball', 'level-sets']
"""

from __future__ import annotations

from typing import Any

from starlette.routing import BaseRoute

from nacre.errors import find
from nacre.studio.api import ask
from nacre.studio.lessons import depth, linear, networks, neurons, perceptrons, slopes
from nacre.studio.lessons.lesson import Lesson

CHAPTERS: dict[str, list[Lesson]] = {
    "Slopes": [slopes.TANGENT, slopes.GRADIENT_FIELD, slopes.BALL, slopes.LEVEL_SETS],
    "Perceptrons": [
        perceptrons.PERCEPTRON,
        perceptrons.NAND_LESSON,
        perceptrons.LAYERS_OF_PERCEPTRONS,
        perceptrons.CIRCUIT,
    ],
    "Linear models": [linear.PARAMETERS, linear.LINEAR_MODELS, linear.DERIVATIVE, linear.NON_LINEARITY],
    "Units": [neurons.SIGMOID_AND_STEP, neurons.RELU, neurons.SOFTMAX],
    "Networks": [
        networks.RELU_NETWORK,
        networks.DIGIT_NETWORK,
        networks.FORWARD_GRAPH,
        networks.BACKWARD_GRAPH,
        networks.CHAIN,
    ],
    "Depth": [depth.DEEP_NETWORK, depth.WHAT_LAYERS_LEARN, depth.SHALLOW_AND_DEEP, depth.PIXEL_PERMUTATION],
}
LESSONS = {lesson.name: lesson for lessons in CHAPTERS.values() for lesson in lessons}


def routes() -> list[BaseRoute]:
    """Its addresses, below /api."""
    return [ask("/lessons", contents), ask("/lessons/{lesson}", opened)]


def contents() -> list[dict[str, Any]]:
    """The chapters, and the names and titles of their lessons."""
    return [
        {"title": title, "lessons": [{"name": one.name, "title": one.title} for one in lessons]}
        for title, lessons in CHAPTERS.items()
    ]


def opened(lesson: str, **said: str) -> dict[str, Any]:
    """A lesson with the figures for what the address says of its controls. Raises `UnknownName` for one that is not there."""
    found = find("lesson", lesson, LESSONS)
    values = found.values(said)
    return {
        "name": found.name,
        "title": found.title,
        "text": found.paragraphs,
        "controls": found.controls,
        "figures": found.figures(values),
    }


__all__ = ["CHAPTERS", "LESSONS", "routes"]
