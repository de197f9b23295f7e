"""oneDAL, the fastest peer: same rows, same start, same number of iterations, in turn."""

import numpy as np

from benchmarks.data import FEW_ROWS, SIZES, fitter, read, start, write
from benchmarks.insides import SkipNotImplemented, public
from benchmarks.timing import share

try:
    import daal4py  # in the package scikit-learn-intelex
except ImportError:
    daal4py = None

ONEDAL_KINDS = {"full": "full", "diag": "diagonal"}  # it has no others


def covariances_of(kind, begin):
    """The covariances of a start."""
    precisions = begin["precisions_init"]
    return np.linalg.inv(precisions) if kind in ("full", "tied") else 1 / precisions


def onedal_fitter(kind, size, rows, iterations, begin=None):
    """As `data.fitter`; it stops when an iteration gains nothing, and tells how many it made."""
    begin = start(kind, size) if begin is None else begin
    weights, means = begin["weights_init"], np.ascontiguousarray(begin["means_init"])
    covariances = list(covariances_of(kind, begin).reshape(size[2], -1, size[1]))
    mixture = daal4py.em_gmm(
        nComponents=size[2], maxIterations=iterations, covarianceStorage=ONEDAL_KINDS[kind], accuracyThreshold=0
    )
    return lambda: mixture.compute(rows, weights[None], means, covariances)


class OneDAL:
    """Skipped without `daal4py`."""

    params = tuple(ONEDAL_KINDS), (FEW_ROWS, "1e6 x 16, K=32")
    param_names = "covariance", "size"
    timeout = 300

    def setup_cache(self):
        write("cloud", *self.params[1])

    def track_share_of_onedal(self, kind, size):
        if daal4py is None:
            raise SkipNotImplemented("needs scikit-learn-intelex")
        rows, size = read("cloud", size), SIZES[size]
        ours = fitter(public("GaussianMixture"), kind, size, rows, 5)
        theirs = onedal_fitter(kind, size, rows, 5)
        np.testing.assert_allclose(ours().means_, theirs().means, rtol=1e-3, atol=1e-3)
        return share(ours, theirs)

    track_share_of_onedal.unit = "of oneDAL's seconds"
