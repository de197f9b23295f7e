"""One fused pass of every family and structure over rows in memory, and what a fit needs beside them."""

from benchmarks.data import FEW_ROWS, KINDS, MANY_COMPONENTS, OF_PASSES, SIZES, fitter, read, start, write
from benchmarks.insides import USEFUL_FLOPS, late_passes, one_pass, public
from benchmarks.timing import in_matrix_products, in_products_of_as_many_flops, share, threads

FAMILIES = {  # estimator, rows, flops
    "Student's t, full": ("StudentTMixture", "cloud", "full"),
    "Student's t, diag": ("StudentTMixture", "cloud", "diag"),
    "variational, full": ("BayesianGaussianMixture", "cloud", "full"),
    "variational, diag": ("BayesianGaussianMixture", "cloud", "diag"),
    "Bernoulli": ("BernoulliMixture", "bits", "discrete"),
    "categorical": ("CategoricalMixture", "bits", "discrete"),
    "multinomial": ("MultinomialMixture", "counts", "discrete"),
    "Poisson": ("PoissonMixture", "counts", "discrete"),
    "bits and levels": ("MixedMixture", "bits", "discrete"),
}

CASES = {  # of all structures; full covariances have more
    f"{dtype}, {size}": (dtype, size)
    for dtype, size in (("float64", FEW_ROWS), ("float64", "1e6 x 16, K=32"), ("float32", "1e6 x 16, K=32"))
}
MORE_CASES = {
    f"{dtype}, {size}": (dtype, size)
    for size in OF_PASSES
    for dtype in ("float64", "float32")
    if f"{dtype}, {size}" not in CASES
}


class _OnThreads:
    threads = 2
    timeout = 300

    def setup(self, *params):
        self.limits = threads(self.threads)
        self.limits.__enter__()

    def teardown(self, *_):
        self.limits.__exit__(None, None, None)


class Pass(_OnThreads):
    """Gaussian mixtures: rows without clusters, of which nothing can be skipped; arithmetic of their dtype."""

    params = KINDS, tuple(CASES)
    param_names = "covariance", "dtype, size"

    def setup_cache(self):
        write("cloud", *{size for _, size in CASES.values()})

    def setup(self, kind, case):
        super().setup()
        self.dtype, name = {**CASES, **MORE_CASES}[case]
        rows, size = read("cloud", name, self.dtype), SIZES[name]
        self.run = one_pass(fitter(public("GaussianMixture"), kind, size, rows, 1, arithmetic=self.dtype)(), rows)
        self.flops = USEFUL_FLOPS[kind](*size)

    def track_matrix_products(self, kind, case):
        return in_products_of_as_many_flops(self.run, self.flops, self.dtype)

    track_matrix_products.unit = in_products_of_as_many_flops.unit


class FullPass(Pass):
    """Full covariances at every size."""

    params = ("full",), tuple(MORE_CASES)

    def setup_cache(self):
        write("cloud", *OF_PASSES)


class PassOnOneThread(Pass):
    """The same on one thread: how passes scale, and the steadiest figures of a machine that others use as well."""

    params = KINDS, (f"float64, {FEW_ROWS}",)
    threads = 1

    def setup_cache(self):
        write("cloud", FEW_ROWS)


class Gaps(_OnThreads):
    """Rows of which one in twenty lacks its number in each of three features."""

    params = KINDS
    param_names = ("covariance",)

    def setup_cache(self):
        write("cloud", FEW_ROWS)

    def setup(self, kind):
        super().setup()
        rows, size = read("cloud", FEW_ROWS).copy(), SIZES[FEW_ROWS]
        for feature in range(3):
            rows[7 * feature :: 20, feature] = float("nan")
        self.run = one_pass(fitter(public("GaussianMixture"), kind, size, rows, 1, missing="em")(), rows)
        self.flops = USEFUL_FLOPS[kind](*size)

    def track_matrix_products(self, kind):
        return in_products_of_as_many_flops(self.run, self.flops)

    track_matrix_products.unit = in_products_of_as_many_flops.unit


class ManyComponents(_OnThreads):
    """Rows of clusters, means at some of the rows: what is far away may be left out of sums and of products."""

    params = ("full", "diag", "spherical"), MANY_COMPONENTS
    param_names = "covariance", "size"

    def setup_cache(self):
        write("blobs", *MANY_COMPONENTS)

    def setup(self, kind, size):
        super().setup()
        rows = read("blobs", size)
        begin = start(kind, SIZES[size])
        begin["means_init"] = rows[: SIZES[size][2]]
        begin["precisions_init"] = 4 * begin["precisions_init"]
        self.run = one_pass(fitter(public("GaussianMixture"), kind, SIZES[size], rows, 1, begin)(), rows)

    def track_matrix_products(self, kind, size):
        return in_products_of_as_many_flops(self.run, USEFUL_FLOPS[kind](*SIZES[size]), rounds=3)

    track_matrix_products.unit = in_products_of_as_many_flops.unit


class KMeans(_OnThreads):
    """Rows of clusters, centres after some iterations from some of the rows: most pairs need not meet."""

    params = (MANY_COMPONENTS,)
    param_names = ("size",)

    def setup_cache(self):
        write("blobs", *MANY_COMPONENTS)

    def setup(self, size):
        super().setup()
        self.late, self.dense, self.history = late_passes(read("blobs", size), SIZES[size][2])

    def track_dense(self, size):
        return share(self.late, self.dense)

    track_dense.unit = "of a dense pass"

    def track_pairs(self, size):
        self.late()
        return self.history.share_met

    track_pairs.unit = "of all pairs"


class Family(_OnThreads):
    """The other families, from one iteration after a start at random rows."""

    params = tuple(FAMILIES), ("float64", "float32")
    param_names = "family", "dtype"

    def setup_cache(self):
        for rows in ("cloud", "bits", "counts"):
            write(rows, FEW_ROWS)

    def setup(self, family, dtype):
        super().setup()
        name, kind, structure = FAMILIES[family]
        rows, size = read(kind, FEW_ROWS, dtype), SIZES[FEW_ROWS]
        if kind == "counts":
            rows = rows + 1  # no row without counts
        options = {"n_components": size[2], "init_params": "random_from_data", "random_state": 0, "max_iter": 1}
        if structure != "discrete":
            options["covariance_type"] = structure
        if name == "MixedMixture":
            half = size[1] // 2
            options["blocks"] = [("bernoulli", slice(half)), ("categorical", slice(half, None))]
        if name == "BayesianGaussianMixture":  # the only one of these that computes in single precision
            options["arithmetic"] = dtype
        self.run = one_pass(public(name)(**options).fit(rows), rows)
        self.flops = USEFUL_FLOPS[structure](*size)

    def track_matrix_products(self, family, dtype):
        return in_products_of_as_many_flops(self.run, self.flops)  # of doubles, whatever the rows are

    track_matrix_products.unit = in_products_of_as_many_flops.unit


class Scoring(_OnThreads):
    """What a user calls after a fit, results included."""

    params = ("predict", "predict_proba", "score_samples", "score"), ("full", "diag")
    param_names = "method", "covariance"

    def setup_cache(self):
        write("cloud", FEW_ROWS)

    def setup(self, method, kind):
        super().setup()
        rows = read("cloud", FEW_ROWS)
        mixture = fitter(public("GaussianMixture"), kind, SIZES[FEW_ROWS], rows, 1)()
        self.run = lambda: getattr(mixture, method)(rows)

    def track_matrix_products(self, method, kind):
        return in_matrix_products(self.run)

    track_matrix_products.unit = in_matrix_products.unit


class Memory:
    """The difference to `peakmem_reference` is what a fit needs beside the rows."""

    params = KINDS
    param_names = ("covariance",)
    size = "1e6 x 16, K=32"
    timeout = 300

    def setup_cache(self):
        write("cloud", self.size)
        for kind in KINDS:  # kernels on disk before memory is measured: the compiler needs far more than a fit
            self.setup(kind)
            self.peakmem_fit(kind)

    def setup(self, kind):
        self.rows = read("cloud", self.size)
        self._fit(2, kind, self.rows[:50_000])

    def _fit(self, n_components, kind, rows):
        public("GaussianMixture")(n_components, covariance_type=kind, max_iter=3, random_state=0).fit(rows)

    def peakmem_reference(self, kind):
        pass

    def peakmem_fit(self, kind):
        self._fit(SIZES[self.size][2], kind, self.rows)
