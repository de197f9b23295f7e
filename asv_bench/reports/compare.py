"""Print one Markdown table: fastem's passes against DGEMM, its iterations against scikit-learn's and oneDAL's.

Everything in a row of the table is measured in one run, in turn, from the same start and on the same rows.
"""

import argparse
import os
import platform
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--rows-divisor", type=int, default=1, help="fewer rows: to try this script, not to measure")
parser.add_argument("--kinds", nargs="+", default=["full", "tied", "diag", "spherical"], help="covariance types")
parser.add_argument("--rounds", type=int, default=3, help="the least of so many times counts")
parser.add_argument("--iterations", type=int, default=10, help="of EM, against oneDAL")
parser.add_argument("--sklearn-iterations", type=int, default=2, help="of EM, against scikit-learn")
parser.add_argument("--clustered", action="store_true", help="rows of clusters, three iterations after k-means")
options = parser.parse_args()
os.environ["FASTEM_BENCH_ROWS_DIVISOR"] = str(options.rows_divisor)

# Importing from `benchmarks` first frees OpenBLAS from settings that would slow it down.
from benchmarks.data import OF_PASSES, SIZES, blobs, cloud, fitter, start  # noqa: E402, I001
from benchmarks.insides import USEFUL_FLOPS, one_pass  # noqa: E402
from benchmarks.peers import ONEDAL_KINDS, daal4py, onedal_fitter  # noqa: E402
from benchmarks.timing import in_turn, product  # noqa: E402

import numba  # noqa: E402
from sklearn.mixture import GaussianMixture as SklearnMixture  # noqa: E402
from threadpoolctl import threadpool_info  # noqa: E402

import fastem  # noqa: E402
from fastem import GaussianMixture  # noqa: E402


def machine():
    """Date, processor, threads, OpenBLAS kernel and versions in one line."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    processor = next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.processor())
    kernels = {library["architecture"] for library in threadpool_info() if library.get("architecture")}
    parts = [date.today().isoformat(), processor, f"{numba.get_num_threads()} threads"]
    parts += [f"OpenBLAS for {', '.join(sorted(kernels))}", f"Python {platform.python_version()}"]
    parts.append(f"fastem {fastem.__version__}")
    for package in ("numba", "numpy", "scikit-learn", "scikit-learn-intelex"):
        try:
            parts.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return "; ".join(parts)


def clustered_start(kind, size, rows):
    """Some iterations from k-means on rows with clusters: most components have no share in most of them."""
    mixture = GaussianMixture(size[2], covariance_type=kind, random_state=0, subsampling=False, max_iter=3).fit(rows)
    return {
        "weights_init": mixture.weights_,
        "means_init": mixture.means_,
        "precisions_init": mixture.precisions_,
    }


def pass_and_roofline(kind, size, rows, begin):
    """Seconds of a pass; its useful flops a second over those of a matrix product (DGEMM) in the same run."""
    multiply, flops = product(n=2500)
    multiply()
    run = one_pass(fitter(GaussianMixture, kind, size, rows, 1, begin)(), rows)
    of_pass, of_product = in_turn(run, multiply, rounds=options.rounds).min(axis=0)
    return of_pass, USEFUL_FLOPS[kind](*size) / of_pass / (flops / of_product)


def times_faster(theirs, kind, size, rows, iterations, rounds, begin):
    """How many times as long the competitor takes, and its seconds per iteration."""
    fit = fitter(GaussianMixture, kind, size, rows, iterations, begin)
    ours, seconds = in_turn(fit, theirs, rounds=rounds).min(axis=0)
    return f"{seconds / ours:.1f}x ({seconds / iterations:.3g} s)"


def times_faster_than_onedal(kind, size, rows, begin):
    """The same for as many iterations as oneDAL makes."""
    theirs = onedal_fitter(kind, size, rows, options.iterations, begin)
    try:
        made = int(theirs().nIterations.item())
    except RuntimeError:  # it stops at a singular covariance: too few rows for the features
        return "failed"
    return times_faster(theirs, kind, size, rows, made, options.rounds, begin)


def measured(kind, size):
    """The cells of one row."""
    if options.clustered:
        rows = blobs(size)
        begin = clustered_start(kind, size, rows)
    else:
        rows = cloud(size)
        begin = start(kind, size)
    seconds, fraction = pass_and_roofline(kind, size, rows, begin)
    iterations, rounds = options.sklearn_iterations, min(options.rounds, 2)
    theirs = fitter(SklearnMixture, kind, size, rows, iterations, begin)
    against_sklearn = times_faster(theirs, kind, size, rows, iterations, rounds, begin)
    against_onedal = "–"  # noqa: RUF001
    if daal4py is not None and kind in ONEDAL_KINDS:
        against_onedal = times_faster_than_onedal(kind, size, rows, begin)
    return (
        kind,
        f"{size[0]:,} x {size[1]}, K={size[2]}",
        f"{seconds:.4f} s",
        f"{fraction:.0%}",
        against_sklearn,
        against_onedal,
    )


print(machine(), end="\n\n")
print("| covariance | rows x features, components | one pass | of DGEMM | scikit-learn takes | oneDAL takes |")
print("|---|---|---|---|---|---|")
for kind in options.kinds:
    for name in OF_PASSES:
        size = SIZES[name]
        print("|", " | ".join(measured(kind, size)), "|", flush=True)
