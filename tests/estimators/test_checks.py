"""What scikit-learn demands of every estimator."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import check_estimator

from nacre.sklearn import MLPClassifier, MLPRegressor

# Where scikit-learn's own estimators, with these settings, fail their checks too.
SPLIT = dict.fromkeys(
    [
        "check_estimators_nan_inf",  # ten rows leave one for validation
        "check_fit2d_1feature",
        "check_sample_weight_equivalence_on_dense_data",  # which rows are held out depends on how many there are
        "check_sample_weight_equivalence_on_sparse_data",
        "check_fit_score_takes_y",  # there is no partial_fit with early stopping
        "check_n_features_in_after_fitting",
        "check_estimators_partial_fit_n_features",
    ],
    "it holds rows out",
)
OF_CLASSES = {
    "check_classifiers_one_label": "one class cannot be split",
    "check_class_weight_classifiers": "scikit-learn's own gives the same, with weights of rows",
}
OF_NUMBERS = {"check_regressors_no_decision_function": "ten rows leave one for validation"}
# Of two equal rows, chance may drop different units.
CHANCE = dict.fromkeys(
    ["check_sample_weight_equivalence_on_dense_data", "check_sample_weight_equivalence_on_sparse_data"], "chance"
)

CASES = [
    (MLPClassifier(), {}),
    (MLPClassifier((5,), "tanh", learning_rate_init=0.05), {}),
    (MLPClassifier((5,), solver="lbfgs", max_iter=50), {}),
    (MLPClassifier(solver="sgd", max_iter=50), {}),
    (MLPClassifier(early_stopping=True, max_iter=30), SPLIT | OF_CLASSES),
    (MLPClassifier(dropout=0.2, max_iter=30), CHANCE),
    (MLPRegressor(), {}),
    (MLPRegressor(hidden_layer_sizes=(5,), activation="tanh", learning_rate_init=0.05), {}),
    (MLPRegressor(hidden_layer_sizes=(5,), solver="lbfgs", max_iter=50), {}),
    (MLPRegressor(solver="sgd", max_iter=50), {}),
    (MLPRegressor(early_stopping=True, max_iter=30), SPLIT | OF_NUMBERS),
    (MLPRegressor(dropout=0.2, max_iter=30), CHANCE),
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("estimator", "failing"), CASES, ids=[str(estimator) for estimator, _ in CASES])
def test_it_passes_the_checks_that_scikit_learn_s_own_passes(estimator, failing):
    results = check_estimator(estimator, expected_failed_checks=failing, on_skip=None)
    assert {result["check_name"] for result in results if result["status"] == "xfail"} == set(failing)
    assert sum(result["status"] == "passed" for result in results) > 45
