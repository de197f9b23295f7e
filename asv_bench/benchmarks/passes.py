"""One fused pass: its time, its share of what the cores can do, and what a fit needs beside the data."""

from benchmarks.common import KINDS, SIZES, Cloud, load, one_pass, pass_and_roofline, save_cloud, threads
from fastem import GaussianMixture


class Pass(Cloud):
    """Rows and arithmetic of the same dtype, on two threads."""

    params = KINDS, ("float64", "float32"), SIZES
    param_names = "covariance", "dtype", "rows, features, components"
    threads = 2
    rounds, repeat, warmup_time = 1, (3, 20, 2.0), 0.0
    timeout = 120

    def setup(self, kind, dtype, size):
        self.limits = threads(self.threads)
        self.limits.__enter__()
        self.rows = load("cloud", size, dtype)
        self.run = one_pass(kind, size, self.rows)

    def teardown(self, *_):
        self.limits.__exit__(None, None, None)

    def time_pass(self, *_):
        self.run()

    def track_roofline_fraction(self, kind, dtype, size):
        return pass_and_roofline(kind, size, self.rows)[1]

    track_roofline_fraction.unit = "useful flops / DGEMM or SGEMM flops"


class PassOnOneThread(Pass):
    """The same for one thread: how passes scale."""

    params = ("full",), ("float64",), SIZES
    threads = 1


class Memory:
    """The difference to `peakmem_reference` is what a fit needs beside the rows."""

    params = KINDS
    param_names = ("covariance",)
    size = SIZES[2]

    def setup_cache(self):
        save_cloud(self.size)
        for kind in KINDS:  # kernels on disk before memory is measured: the compiler needs far more than a fit
            self.setup(kind)
            self.peakmem_fit(kind)

    def setup(self, kind):
        self.rows = load("cloud", self.size)
        self._fit(2, kind, self.rows[:50_000])

    def _fit(self, n_components, kind, rows):
        GaussianMixture(n_components, covariance_type=kind, max_iter=3, random_state=0).fit(rows)

    def peakmem_reference(self, kind):
        pass

    def peakmem_fit(self, kind):
        self._fit(self.size[2], kind, self.rows)
