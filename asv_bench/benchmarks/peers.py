"""oneDAL, the fastest peer: same rows, same start, same number of iterations, in turn."""

import numpy as np

from benchmarks.common import SIZES, Cloud, covariances_of, fitter, in_turn, load, start
from fastem import GaussianMixture

try:
    import daal4py  # in the package scikit-learn-intelex
except ImportError:
    daal4py = None

ONEDAL_KINDS = {"full": "full", "diag": "diagonal"}  # it has no others


def onedal_fitter(kind, size, rows, iterations, begin=None):
    """As `common.fitter`; it stops when an iteration gains nothing, and tells how many it made."""
    begin = start(kind, size) if begin is None else begin
    weights, means = begin["weights_init"], np.ascontiguousarray(begin["means_init"])
    covariances = list(covariances_of(kind, begin).reshape(size[2], -1, size[1]))
    mixture = daal4py.em_gmm(
        nComponents=size[2], maxIterations=iterations, covarianceStorage=ONEDAL_KINDS[kind], accuracyThreshold=0
    )
    return lambda: mixture.compute(rows, weights[None], means, covariances)


class OneDAL(Cloud):
    params = tuple(ONEDAL_KINDS), SIZES
    param_names = "covariance", "rows, features, components"
    timeout = 300

    def setup(self, kind, size):
        if daal4py is None:
            raise NotImplementedError("needs scikit-learn-intelex")
        self.rows = load("cloud", size)

    def track_seconds_vs_onedal(self, kind, size):
        ours, theirs = (fitter(GaussianMixture, kind, size, self.rows, 5), onedal_fitter(kind, size, self.rows, 5))
        np.testing.assert_allclose(ours().means_, theirs().means, rtol=1e-3, atol=1e-3)
        seconds = in_turn(ours, theirs)
        return seconds[1] / seconds[0]

    track_seconds_vs_onedal.unit = "times faster"
