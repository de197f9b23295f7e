"""What data say of the parameters of a fitted Gaussian mixture: score, information, standard errors, bootstrap."""

from fastem.inference.bootstrap import Bootstrap, bootstrap
from fastem.inference.score import Score, score
from fastem.inference.standard_errors import (
    ConfidenceIntervals,
    InferenceWarning,
    StandardErrors,
    confidence_intervals,
    observed_information,
    standard_errors,
)

__all__ = [
    "Bootstrap",
    "ConfidenceIntervals",
    "InferenceWarning",
    "Score",
    "StandardErrors",
    "bootstrap",
    "confidence_intervals",
    "observed_information",
    "score",
    "standard_errors",
]
