"""What a fitted mixture is asked: standard errors, conditional distributions, divergences."""

import warnings

import numpy as np

from benchmarks.data import FEW_ROWS, KINDS, SIZES, fitter, read, write
from benchmarks.insides import public
from benchmarks.timing import in_matrix_products

warnings.filterwarnings("ignore", message="The log-likelihood rises")  # five iterations from a start are no maximum


class StandardErrors:
    params = KINDS
    param_names = ("covariance",)
    timeout = 300

    def setup_cache(self):
        write("blobs", FEW_ROWS)

    def setup(self, kind):
        rows, size = read("blobs", FEW_ROWS), SIZES[FEW_ROWS]
        mixture, errors = fitter(public("GaussianMixture"), kind, size, rows, 5)(), public("standard_errors")
        self.run = lambda: errors(mixture, rows)

    def track_matrix_products(self, kind):
        return in_matrix_products(self.run)

    track_matrix_products.unit = in_matrix_products.unit


class Distribution:
    params = ("condition", "regress", "sample", "entropy", "kl_divergence")
    param_names = ("question",)

    def setup_cache(self):
        write("blobs", FEW_ROWS)

    def setup(self, question):
        rows, size = read("blobs", FEW_ROWS), SIZES[FEW_ROWS]
        mixture = fitter(public("GaussianMixture"), "full", size, rows, 5)()
        half = size[1] // 2
        self.run = {
            "condition": lambda: mixture.condition(dict(enumerate(rows[0, :half]))),
            "regress": lambda: mixture.regress(rows[:, :half], targets=np.arange(half, size[1])),
            "sample": lambda: mixture.sample(len(rows)),
            "entropy": lambda: public("entropy")(mixture, random_state=0),
            "kl_divergence": lambda: public("kl_divergence")(mixture, mixture, random_state=0),
        }[question]

    def track_matrix_products(self, question):
        return in_matrix_products(self.run)

    track_matrix_products.unit = in_matrix_products.unit
