"""Print what a Dask fit costs beside the one in memory: `python -m reports.dask_fits [rows] [partitions]`.

One thread against one worker, two threads against two, in turn; then the two constants of the model in docs/dask.md and
what it predicts for 100 workers and 1e10 rows.
"""

import sys
import time

import benchmarks  # noqa: F401 (frees OpenBLAS from settings that would slow it down; before NumPy)
import dask.array as da
import numba
import numpy as np
from benchmarks.insides import bytes_of_a_pass
from distributed import Client, LocalCluster

from fastem import GaussianMixture

D, K, PASSES, REPEATS = 16, 32, 10, 3


def mixture():
    """A fit of PASSES passes from an explicit start, so that nothing but passes is compared."""
    start = {
        "weights_init": np.full(K, 1 / K),
        "means_init": np.random.default_rng(1).normal(size=(K, D)),
        "precisions_init": np.tile(np.eye(D), (K, 1, 1)),
    }
    return GaussianMixture(K, max_iter=PASSES, tol=0.0, **start)


def part_of_rows(block_id, n_rows):
    return np.random.default_rng(block_id).normal(size=(n_rows, D))


def seconds_of_a_fit(data):
    begun = time.perf_counter()
    mixture().fit(data)
    return time.perf_counter() - begun


def main(n_rows=4_000_000, n_parts=16):
    size = n_rows // n_parts
    rows = np.concatenate([part_of_rows(n, size) for n in range(n_parts)])
    options = {"processes": True, "threads_per_worker": 1, "dashboard_address": ":0", "memory_limit": 0}
    times = {}
    for workers in (1, 2):
        numba.set_num_threads(workers)
        with LocalCluster(n_workers=workers, **options) as cluster, Client(cluster):
            made = da.map_blocks(
                lambda block_id=None: part_of_rows(block_id[0], size),
                chunks=((size,) * n_parts, (D,)),
                dtype=float,
                meta=np.empty((0, 0)),
            ).persist()
            mixture().fit(made[: 2 * size])  # every worker compiles, or finds what is compiled
            mixture().fit(rows[: 2 * size])
            pairs = [(seconds_of_a_fit(rows), seconds_of_a_fit(made)) for _ in range(REPEATS)]
        times[workers] = [min(column) for column in zip(*pairs, strict=True)]
        memory, cluster_time = times[workers]
        print(
            f"{workers} threads: in memory {memory:.2f} s, Dask {cluster_time:.2f} s, ratio {cluster_time / memory:.2f}"
        )
    down, up = bytes_of_a_pass(mixture().fit(rows[:10_000]), rows[:1_000])
    print(f"bytes of a pass: {down:,} down to each worker, {up:,} up from each of {n_parts} partitions")
    passes = PASSES + 2  # the survey, and the likelihood at the end
    one, two = (times[workers][1] / passes for workers in (1, 2))
    row, rest = 2 * (one - two) / n_rows, 2 * two - one
    print(f"a pass is {row * 1e9:.1f} ns a row and thread, and {rest * 1e3:.0f} ms that do not shrink")
    big, parts, workers, bandwidth = 1e10, 1_000, 100, 1e9
    tasks, latency = parts * (1e-3 + 1e-3 / workers), (1 + np.log(parts) / np.log(8)) * 5e-3
    moved = (down * workers + up * parts) / workers / bandwidth
    print(
        f"100 threads, 1e10 rows in 1,000 partitions: {big * row / workers:.1f} s of kernels, {tasks:.2f} s of tasks, "
        f"{latency:.2f} s of latency, {moved:.2f} s of the network a pass"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
