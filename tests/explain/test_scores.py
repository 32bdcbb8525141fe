"""Scores alone: probabilities, loss, gradient."""

from __future__ import annotations

import numpy as np
import pytest

from nacre import ops
from nacre.errors import DataError, UsageError
from nacre.explain import explain_scores


def test_probabilities_0_2_0_7_0_1_with_the_first_class_true_give_the_loss_and_gradient_of_the_lesson():
    """Lesson C12: a cat with probability 0.2."""
    explained = explain_scores(np.log([0.2, 0.7, 0.1]) + 3, true_class=0)
    assert explained.probabilities.tolist() == pytest.approx([0.2, 0.7, 0.1])
    assert round(explained.loss, 4) == 1.6094
    assert explained.gradient.tolist() == pytest.approx([-0.8, 0.7, 0.1])
    text = str(explained)
    assert "loss 1.6094" in text
    assert [line.split()[-1] for line in text.splitlines()[3:]] == ["-0.8", "0.7", "0.1"]


def test_the_logarithm_gives_the_scores_back_up_to_one_number(rng):
    """Lesson C17."""
    scores = rng.normal(size=7) * 5
    explained = explain_scores(scores, 3)
    assert (explained.log_probabilities + explained.shift).tolist() == pytest.approx(scores.tolist())
    np.testing.assert_allclose(np.log(explained.probabilities), explained.log_probabilities, rtol=1e-12)
    assert f"score = log probability + {explained.shift:.5g}" in str(explained)


def test_the_gradient_is_p_minus_y_also_by_finite_differences(rng):
    """Lesson C18."""
    scores = rng.normal(size=5)
    explained = explain_scores(scores, 1)
    for k in range(5):
        step = np.eye(5)[k] * 1e-6
        slope = (explain_scores(scores + step, 1).loss - explain_scores(scores - step, 1).loss) / 2e-6
        assert explained.gradient[k] == pytest.approx(slope, abs=1e-8)
    assert explained.gradient.sum() == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("size", [1e4, -1e4, 1e300])
def test_scores_of_any_size_give_finite_numbers(size):
    explained = explain_scores([size, 0.0, -size], 2)
    assert explained.loss == (2 * size if size > 0 else 0)
    assert explained.gradient.tolist() == ([1, 0, -1] if size > 0 else [0, 0, 0])
    assert np.isfinite(explained.log_probabilities).all()
    engine = ops.sparse_categorical_crossentropy(np.array([2]), np.array([[1e4, 0, -1e4]]), from_logits=True)
    assert np.asarray(engine).item() == 2e4


def test_what_is_no_list_of_scores_is_refused():
    for scores in ([], [[1.0, 2.0]], [np.nan, 1.0], ["a"], 3.0):
        with pytest.raises(DataError, match="finite numbers"):
            explain_scores(scores, 0)
    for true_class in (3, -1, 0.0, True):
        with pytest.raises(UsageError, match="class number from 0 to 1"):
            explain_scores([1.0, 2.0], true_class)
