"""One step on one sample, with all its numbers: forward pass, loss, backward pass, update. As text, a page, or a spreadsheet."""

from nacre.explain.explanation import Blame, Explanation, LayerStep, Update, Votes, WeightStep
from nacre.explain.scores import ExplainedScores, explain_scores
from nacre.explain.step import explain

__all__ = [
    "Blame",
    "ExplainedScores",
    "Explanation",
    "LayerStep",
    "Update",
    "Votes",
    "WeightStep",
    "explain",
    "explain_scores",
]
