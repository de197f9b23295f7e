"""Cases into what the kernels take."""

import numpy as np

from fastem.families.covariances import STRUCTURES
from fastem.kernels import accumulation, passes
from fastem.kernels.families import diag, full, spherical, tied

KERNELS = {
    "full": full.FullParameters,
    "tied": tied.TiedParameters,
    "diag": diag.DiagParameters,
    "spherical": spherical.SphericalParameters,
}


def kernel_parameters(case, origin=None):
    whiteners, singular = STRUCTURES[case.structure].whiten(case.covariances)
    assert not singular.any()
    origin = case.weights @ case.means if origin is None else origin
    return KERNELS[case.structure].of(origin, np.log(case.weights), case.means, whiteners)


def accumulated(case, blocks, **options):
    """What one pass adds up: log-likelihood, its compensation, weight, unused; then packed moments."""
    return accumulation.accumulated(kernel_parameters(case), blocks, **options)


def moments(case, sums):
    """Packed moments as the kernel's own `unpack` has them."""
    return KERNELS[case.structure].unpack(sums[passes.HEADER :], *case.means.shape)


def scored(case, rows):
    """Log-densities, labels and responsibilities of rows."""
    n_components = len(case.weights)
    out = {
        "log_density": np.full(len(rows), np.nan),
        "labels": np.full(len(rows), -1),
        "responsibilities": np.full((len(rows), n_components), np.nan),
    }
    accumulation.evaluate_block(kernel_parameters(case), rows, **out)
    return out["log_density"], out["labels"], out["responsibilities"]
