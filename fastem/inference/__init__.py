"""What data say of the parameters of a fitted Gaussian mixture: score, information, standard errors, bootstrap."""

from fastem.inference.errors import (
    ConfidenceIntervals,
    InferenceWarning,
    StandardErrors,
    confidence_intervals,
    observed_information,
    standard_errors,
)
from fastem.inference.gradient import Score, score
from fastem.inference.refits import Bootstrap, bootstrap

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
