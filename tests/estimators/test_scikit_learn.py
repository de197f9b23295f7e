"""What fastem needs of scikit-learn's private names: an upgrade that changes one fails here, by name."""

from numbers import Integral

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator

from fastem.estimators import scikit_learn as private


class Shrinker(BaseEstimator):
    _parameter_constraints = {  # noqa: RUF012 (as scikit-learn declares them)
        "share": [private.Interval(Integral, 1, None, closed="left"), private.StrOptions({"all"}), None]
    }

    def __init__(self, share=1):
        self.share = share

    @private.fit_context(prefer_skip_nested_validation=True)
    def fit(self, X):
        self.n_rows_ = len(X)
        return self


@pytest.mark.parametrize("share", [1, 7, "all", None])
def test_what_the_constraints_allow(share):
    assert Shrinker(share).fit([[0.0]]).n_rows_ == 1


@pytest.mark.parametrize("share", [0, 1.5, "some"])
def test_what_they_refuse_names_the_parameter(share):
    with pytest.raises(private.InvalidParameterError, match="The 'share' parameter of Shrinker"):
        Shrinker(share).fit([[0.0]])
    with config_context(skip_parameter_validation=True):
        assert Shrinker(share).fit([[0.0]]).n_rows_ == 1


def test_an_invalid_parameter_is_a_value_error_of_the_caller_named():
    assert issubclass(private.InvalidParameterError, ValueError)
    with pytest.raises(private.InvalidParameterError, match="The 'rate' parameter of decay must be"):
        private.validate_parameter_constraints(
            {"rate": [private.Interval(Integral, 1, 3, closed="both")]}, {"rate": 4}, caller_name="decay"
        )


def test_features_are_counted_when_they_are_reset_and_checked_otherwise():
    estimator, rows = BaseEstimator(), np.zeros((3, 2))
    private.check_n_features(estimator, rows, reset=True)
    assert estimator.n_features_in_ == 2
    private.check_n_features(estimator, rows, reset=False)
    with pytest.raises(ValueError, match="X has 3 features, but BaseEstimator is expecting 2 features as input"):
        private.check_n_features(estimator, np.zeros((3, 3)), reset=False)


def test_names_of_features_are_kept_and_compared():
    pandas = pytest.importorskip("pandas")
    estimator, frame = BaseEstimator(), pandas.DataFrame({"height": [1.0], "width": [2.0]})
    private.check_feature_names(estimator, frame, reset=True)
    assert list(estimator.feature_names_in_) == ["height", "width"]
    private.check_feature_names(estimator, frame, reset=False)
    with pytest.raises(ValueError, match="feature names should match those that were passed during fit"):
        private.check_feature_names(estimator, frame[["width", "height"]], reset=False)
