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
from fastem import GaussianMixture
rows = np.random.default_rng(0).standard_normal((10_000, 4))
rows[5_000:] += 5
GaussianMixture(2, random_state=0).fit(rows)
"""
MODEL = """
import numpy as np
from fastem.families.covariances import STRUCTURES
from fastem.families.gaussian import GaussianMixtureModel
from fastem.sources import as_source
ones = dict(full=np.ones((2, 1, 1)), tied=np.ones((1, 1)), diag=np.ones((2, 1)), spherical=np.ones(2))["{kind}"]
model = GaussianMixtureModel(STRUCTURES["{kind}"], np.full(2, 0.5), np.array([[-1.0], [1.0]]), ones, ones)
rows = np.zeros(({n_rows}, 1))
"""
CALLS = {"fused": "model.e_step(as_source(rows))", "scoring": "model.score(rows, log_density=np.empty(len(rows)))"}
ROWS = {"serial": 100, "parallel": 1_000_000}  # a few are not worth a second thread


class _Fresh:
    number, rounds, repeat, min_run_count, warmup_time = 1, 1, 3, 1, 0.0
    timeout = 300


class Import(_Fresh):
    def timeraw_import_fastem(self):
        return "import fastem"

    def timeraw_import_estimator(self):
        return "from fastem import GaussianMixture"


class FirstFit(_Fresh):
    """Imports included."""

    def setup_cache(self):
        subprocess.run([sys.executable, "-c", WARM + FIRST_FIT], check=True)

    def timeraw_warm(self):
        return FIRST_FIT, WARM

    def timeraw_cold(self):
        return FIRST_FIT, COLD


class Compile(_Fresh):
    """The first call of one kernel for one family, nothing compiled before; imports excluded."""

    params = ("full", "tied", "diag", "spherical"), ("fused", "scoring"), ("serial", "parallel")
    param_names = "covariance", "pass", "entry"
    repeat = 1

    def timeraw_first_call(self, kind, kernel, entry):
        return CALLS[kernel], COLD + MODEL.format(kind=kind, n_rows=ROWS[entry])
