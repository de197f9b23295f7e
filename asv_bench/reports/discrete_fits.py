"""Print one Markdown table: an EM iteration of discrete mixtures by fastem, StepMix and pomegranate.

`pip install stepmix pomegranate`; what is missing is left out. All begin at the same parameters and take the same
number of iterations over the same rows; the log-likelihoods that they end with are compared. Times are the least of
several rounds in turn.
"""

import argparse
import copy
import warnings

import benchmarks  # noqa: F401 (frees OpenBLAS from settings that would slow it down; before NumPy)
import numpy as np
from benchmarks.timing import in_turn

import fastem

SIZES = [  # rows, features, components
    (1_000_000, 10, 4),
    (200_000, 50, 16),
    (100_000, 30, 64),
]
N_LEVELS = 5


def problem(family, n_rows, n_features, n_components):
    """Rows of a mixture, and a start near it."""
    rng = np.random.default_rng(0)
    labels = rng.integers(n_components, size=n_rows)
    if family == "bernoulli":
        table = rng.beta(1.0, 1.0, size=(n_components, n_features))
        rows = rng.random((n_rows, n_features)) < table[labels]
        return rows.astype(np.float64), 0.7 * table + 0.15
    if family == "poisson":
        table = rng.gamma(2.0, 2.0, size=(n_components, n_features))
        return rng.poisson(table[labels]).astype(np.float64), 0.9 * table + 0.4
    table = rng.dirichlet(np.ones(N_LEVELS), size=(n_components, n_features))
    thresholds = table.cumsum(axis=2)[labels]
    rows = (rng.random((n_rows, n_features, 1)) > thresholds).sum(axis=2)
    return np.minimum(rows, N_LEVELS - 1).astype(np.float64), 0.8 * table + 0.2 / N_LEVELS


# each returns a function that fits, and what it leaves: a function of the mean log-likelihood -------------------------


def with_fastem(family, rows, table, n_iter):
    n_components = len(table)
    weights = np.full(n_components, 1.0 / n_components)
    options = {"weights_init": weights, "tol": 0.0, "max_iter": n_iter, "pseudo_count": 0.0}
    if family == "bernoulli":
        mixture = fastem.BernoulliMixture(n_components, probabilities_init=table, **options)
    elif family == "poisson":
        mixture = fastem.PoissonMixture(n_components, rates_init=table, **options)
    else:
        columns = [np.ascontiguousarray(table[:, j]) for j in range(table.shape[1])]
        mixture = fastem.CategoricalMixture(n_components, probabilities_init=columns, n_levels=N_LEVELS, **options)
    return lambda: mixture.fit(rows), lambda: mixture.score(rows)


def with_stepmix(family, rows, table, n_iter):
    from stepmix import StepMix

    if family == "poisson":
        return None
    n_components = len(table)
    measurement = {"bernoulli": "binary", "categorical": "categorical"}[family]
    model = StepMix(n_components, measurement=measurement, max_iter=1, n_init=1, progress_bar=0, random_state=0)
    model.fit(rows)
    start = model.get_parameters()
    start["weights"] = np.full(n_components, 1.0 / n_components)
    start["measurement"]["pis"] = table.reshape(start["measurement"]["pis"].shape)

    def fit():
        model.set_parameters(copy.deepcopy(start))
        for _ in range(n_iter):
            _, log_responsibilities = model._e_step(rows)
            model._m_step(rows, np.exp(log_responsibilities))

    return fit, lambda: model.score(rows)


def with_pomegranate(family, rows, table, n_iter):
    import torch
    from pomegranate.distributions import Bernoulli, Categorical, Poisson
    from pomegranate.gmm import GeneralMixtureModel

    family_of = {"bernoulli": Bernoulli, "categorical": Categorical, "poisson": Poisson}[family]
    numbers = torch.tensor(rows, dtype=torch.int64 if family == "categorical" else torch.float32)
    priors = np.full(len(table), 1.0 / len(table), dtype=np.float32)
    models = []

    def fit():
        distributions = [family_of(torch.tensor(one, dtype=torch.float32)) for one in table]
        models[:] = [GeneralMixtureModel(distributions, priors=priors)]
        for _ in range(n_iter):
            models[0].summarize(numbers)
            models[0].from_summaries()

    return fit, lambda: float(models[0].log_probability(numbers).double().mean())


PACKAGES = {"fastem": with_fastem, "StepMix": with_stepmix, "pomegranate": with_pomegranate}


def compare(family, size, n_iter, rounds):
    rows, table = problem(family, *size)
    runs = {}
    for name, package in PACKAGES.items():
        try:
            runs[name] = package(family, rows, table, n_iter)
        except ImportError:
            runs[name] = None
    runs = {name: run for name, run in runs.items() if run is not None}
    for fit, _ in runs.values():
        fit()  # compiled, and memory in place
    least = in_turn(*(fit for fit, _ in runs.values()), rounds=rounds).min(axis=0)
    seconds = {name: time / n_iter for name, time in zip(runs, least, strict=True)}
    return {name: (seconds[name], likelihood()) for name, (_, likelihood) in runs.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--divisor", type=int, default=1, help="of the numbers of rows, to try it out")
    parser.add_argument("--iterations", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print("| family | rows, features, components | package | ms per iteration | times fastem's | log-likelihood |")
    print("|---|---|---|---|---|---|")
    for family in ("bernoulli", "categorical", "poisson"):
        for n_rows, n_features, n_components in SIZES:
            size = n_rows // options.divisor, n_features, n_components
            found = compare(family, size, options.iterations, options.rounds)
            ours = found["fastem"][0]
            for name, (seconds, likelihood) in found.items():
                cells = family, size, name, f"{1e3 * seconds:.1f}", f"{seconds / ours:.1f}", f"{likelihood:.6f}"
                print("|", " | ".join(map(str, cells)), "|", flush=True)


if __name__ == "__main__":
    main()
