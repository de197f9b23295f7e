"""All that the benchmarks know of fastem's insides: one pass of a fitted estimator. The rest is public."""

import pickle
from dataclasses import replace
from functools import partial

import fastem
from fastem.sources import as_source

try:
    from asv_runner.benchmarks.mark import SkipNotImplemented
except ImportError:  # the reports run without asv
    SkipNotImplemented = NotImplementedError

USEFUL_FLOPS = {  # of one pass, whatever the implementation does: a multiplication and an addition are two
    "full": lambda n, d, k: 2 * n * k * d**2,
    "tied": lambda n, d, k: n * d**2 + 2 * n * k * d,
    "diag": lambda n, d, k: 6 * n * k * d,
    "spherical": lambda n, d, k: 4 * n * k * d,
    "discrete": lambda n, d, k: 4 * n * k * d,
}


def public(name):
    """A public name of fastem; asv skips what needs one that a commit has not yet."""
    try:
        return getattr(fastem, name)
    except AttributeError as error:
        raise SkipNotImplemented(str(error)) from error


def one_pass(estimator, rows):
    """A function that makes one fused pass of a fitted estimator over rows, compiled."""
    source, model = as_source(rows), estimator._model()
    statistics = model.e_step(source)
    if hasattr(model, "scatter"):
        model = replace(model, scatter=statistics.scatter)  # tied: known after the first pass of a fit
    return lambda: model.e_step(source)


def late_passes(rows, n_clusters, iterations=8):
    """Two functions that make a pass of k-means after some iterations: with what these have left, and without.

    And what the passes have left.
    """
    try:
        from fastem.families.centers import Centers, Refilling

        history = Refilling().history
    except (ImportError, AttributeError) as error:
        raise SkipNotImplemented(str(error)) from error
    source, centers = as_source(rows), Centers.of(rows[:n_clusters])
    for _ in range(iterations):
        centers = centers.m_step(centers.e_step(source, True, history))
    return lambda: centers.e_step(source, False, history), lambda: centers.e_step(source), history


def bytes_of_a_pass(estimator, rows):
    """What goes to a worker of a cluster for a pass, and what comes back from a partition."""
    from fastem.kernels.accumulation import accumulated

    parameters = estimator._model().kernel_parameters
    return len(pickle.dumps(partial(accumulated, parameters))), accumulated(parameters, [(rows, None)]).nbytes
