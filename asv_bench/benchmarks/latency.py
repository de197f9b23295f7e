"""What a user waits for before the first result; every measurement is a fresh process."""

import subprocess
import sys

# Kernels are kept in a folder below NUMBA_CACHE_DIR, which is read when Numba is imported.
COLD = """
import os, tempfile
folder = tempfile.TemporaryDirectory()
os.environ["NUMBA_CACHE_DIR"] = folder.name
"""
WARM = """
import os
os.environ["NUMBA_CACHE_DIR"] = os.path.abspath("kernels")
"""
FIRST_FIT = """
import numpy as np
from fastem import {estimator}
rows = np.random.default_rng(0).standard_normal((10_000, 4))
rows[5_000:] += 5
{estimator}(2, random_state=0).fit({rows})
"""
ONE_ITERATION = """
import numpy as np
from fastem import GaussianMixture
rows = np.random.default_rng(0).standard_normal((100, 2))
precisions = dict(full=[np.eye(2)] * 2, tied=np.eye(2), diag=np.ones((2, 2)), spherical=np.ones(2))["{kind}"]
start = dict(weights_init=[0.5, 0.5], means_init=[[-1.0, 0.0], [1.0, 0.0]], precisions_init=precisions)
mixture = GaussianMixture(2, covariance_type="{kind}", max_iter=1, **start)
"""
ROWS = {"GaussianMixture": "rows", "KMeans": "rows", "BernoulliMixture": "(rows > 0).astype(float)"}


class _Fresh:
    number, repeat, min_run_count, warmup_time = 1, 3, 1, 0.0
    timeout = 300


class Import(_Fresh):
    def timeraw_import_fastem(self):
        return "import fastem"

    def timeraw_import_estimator(self):
        return "from fastem import GaussianMixture"


class FirstFit(_Fresh):
    """Imports included; machine code on disk (warm) or not (cold)."""

    params = (tuple(ROWS),)
    param_names = ("estimator",)

    def setup_cache(self):
        for estimator, rows in ROWS.items():
            code = WARM + FIRST_FIT.format(estimator=estimator, rows=rows)
            subprocess.run([sys.executable, "-c", code], check=False)  # a commit may have no such estimator

    def timeraw_warm(self, estimator):
        return FIRST_FIT.format(estimator=estimator, rows=ROWS[estimator]), WARM

    def timeraw_cold(self, estimator):
        return FIRST_FIT.format(estimator=estimator, rows=ROWS[estimator]), COLD


class Compile(_Fresh):
    """One iteration from a start with nothing compiled: the pass of one covariance structure; imports excluded."""

    params = (("full", "tied", "diag", "spherical"),)
    param_names = ("covariance",)
    repeat = 1

    def timeraw_first_iteration(self, kind):
        return "mixture.fit(rows)", COLD + ONE_ITERATION.format(kind=kind)
