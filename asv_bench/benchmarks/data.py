"""Rows and starts that the benchmarks share: made once into files (`setup_cache`), read in `setup`."""

import functools
import os

import numpy as np

# To try the benchmarks, and for CI; not to measure.
ROWS_DIVISOR = int(os.environ.get("FASTEM_BENCH_ROWS_DIVISOR", "1"))

_SIZES = [(1_000_000, 2, 8), (1_000_000, 8, 16), (1_000_000, 16, 32), (200_000, 64, 32), (100_000, 128, 16)]
_SIZES += [(200_000, 8, 16), (100_000, 8, 16), (100_000, 16, 32), (100_000, 4, 256), (100_000, 4, 1024)]


def name_of(size):
    n_rows, n_features, n_components = size
    return f"{n_rows:.0e} x {n_features}, K={n_components}".replace("e+0", "e")


# Names are those of the full sizes, whatever the divisor: they are the names of asv's series.
SIZES = {name_of(size): (max(size[0] // ROWS_DIVISOR, 4 * size[2]), *size[1:]) for size in _SIZES}
OF_PASSES = tuple(SIZES)[:5]
FEW_ROWS = "2e5 x 8, K=16"
MANY_COMPONENTS = tuple(SIZES)[-2:]
KINDS = ("full", "tied", "diag", "spherical")


# rows -----------------------------------------------------------------------------------------------------------------


def cloud(size):
    """Rows of one standard normal: every component has a share in nearly every row, and nothing can be skipped."""
    return np.random.default_rng(0).standard_normal(size[:2])


def blobs(size):
    """Overlapping clusters of different shapes and sizes."""
    n, n_features, n_components = size
    rng = np.random.default_rng(1)
    counts = rng.multinomial(n, rng.dirichlet(np.full(n_components, 3.0)))
    clusters = []
    for count in counts:
        mean = 4 / np.sqrt(n_features) * rng.standard_normal(n_features)
        factor = rng.standard_normal((n_features, n_features)) / np.sqrt(n_features) + 0.5 * np.eye(n_features)
        clusters.append(mean + rng.standard_normal((count, n_features)) @ factor.T)
    return rng.permutation(np.concatenate(clusters))


def bits(size):
    """Zeros and ones of `K` Bernoulli profiles."""
    rng = np.random.default_rng(2)
    profiles = rng.beta(1.0, 1.0, size=(size[2], size[1]))
    return (rng.random(size[:2]) < profiles[rng.integers(size[2], size=size[0])]).astype(np.float64)


def counts(size):
    """Counts of `K` Poisson profiles."""
    rng = np.random.default_rng(3)
    rates = rng.gamma(2.0, 2.0, size=(size[2], size[1]))
    return rng.poisson(rates[rng.integers(size[2], size=size[0])]).astype(np.float64)


MAKERS = {function.__name__: function for function in (cloud, blobs, bits, counts)}


def write(kind, *names):
    """Into the working directory, for `read`."""
    for name in names:
        np.save(_file(kind, name), MAKERS[kind](SIZES[name]))


@functools.lru_cache(maxsize=1)  # setup runs before every timed call
def read(kind, name, dtype="float64"):
    """In memory: rows of a memory map would be paged in while the clock runs."""
    return np.load(_file(kind, name)).astype(dtype, copy=False)


def _file(kind, name):
    return f"{kind} {name}.npy"


# starts ---------------------------------------------------------------------------------------------------------------


def start(kind, size):
    """Equal weights, means amid the cloud and unit covariances, as both GaussianMixture classes take them."""
    _, n_features, n_components = size
    shapes = {
        "full": np.tile(np.eye(n_features), (n_components, 1, 1)),
        "tied": np.eye(n_features),
        "diag": np.ones((n_components, n_features)),
        "spherical": np.ones(n_components),
    }
    return {
        "weights_init": np.full(n_components, 1 / n_components),
        "means_init": 0.5 * np.random.default_rng(2).standard_normal((n_components, n_features)),
        "precisions_init": shapes[kind],
    }


def fitter(estimator, kind, size, rows, iterations, begin=None, **options):
    """A function that runs `iterations` of EM from a start, no more and no less."""
    begin = start(kind, size) if begin is None else begin
    mixture = estimator(size[2], covariance_type=kind, tol=0, max_iter=iterations, **begin, **options)
    return lambda: mixture.fit(rows)
