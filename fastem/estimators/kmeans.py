"""The scikit-learn face of k-means."""

import warnings
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from fastem.engine.loop import run_em
from fastem.engine.restarts import run_starts
from fastem.estimators.callbacks import Tasks, with_callbacks
from fastem.estimators.fitting import LongFitMixin
from fastem.estimators.partial_fit import LARGEST_SEED, OnlineMixin, learned
from fastem.estimators.row_results import Write, check_method, in_blocks, of_all
from fastem.estimators.validation import validated_source
from fastem.families.centers import Centers
from fastem.search import seeding
from fastem.search.lloyd import LloydFit, mean_variance, run_lloyd, run_lloyd_in_memory
from fastem.sources import Block, Source

SAMPLE_MEMORY = 2**25  # bytes that the rows for seeding may take
SAMPLE_ITERATIONS = 20  # Lloyd's iterations on them, when there are more rows than these
SAMPLE_STARTS = 3  # of them, the best of which goes on to all rows
SMALL_WORK = 4_000_000  # rows * clusters * features up to which one call for all iterations beats passes with threads


class KMeans(OnlineMixin, LongFitMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator):
    """k-means clustering by Lloyd's algorithm; a drop-in for `sklearn.cluster.KMeans` on dense data.

    Minimises the inertia, sum_n w_n min_k |x_n - c_k|^2. An iteration is one pass over the rows: every row finds its
    nearest centre and is added to its cluster, with no array of n_samples x n_clusters; then each centre moves to the
    mean of its cluster (Lloyd 1982). The result is the same to the last bit for any number of threads.

    Parameters
    ----------
    n_clusters : int, default=8
        Number of clusters K.
    init : {'k-means++', 'random'}, array-like of shape (n_clusters, n_features) or callable, default='k-means++'
        How to start. 'k-means++': greedy k-means++ (Arthur and Vassilvitskii 2007); 'random': K rows. Both look at a
        bounded random sample of the rows and, when there are more, also begin Lloyd's iterations on it. Or the centres
        themselves, or a function of (rows, K, random_state=) that returns them for the sample of rows it is given.
    n_init : 'auto' or int, default='auto'
        Number of starts; the least inertia wins. 'auto' stands for 10 if `init` is 'random' or callable, else for 1.
    max_iter : int, default=300
        Greatest number of iterations, each one pass over the rows.
    tol : float, default=1e-4
        Stop when the squared moves of the centres sum to this share of the mean variance of the features, or less.
    verbose : int, default=0
        1 prints the outcome of each start.
    random_state : int, RandomState instance or None, default=None
        Seed of the starts.
    learning_method : {'batch', 'online'}, default='batch'
        'batch' is Lloyd's algorithm. 'online' moves the centres after every `batch_size` rows (Bottou and Bengio 1995),
        which must come in random order; an iteration is an epoch, and the fit ends when the mean squared distance
        changes by `tol` times the mean variance of the features, or less. `partial_fit` is always online.
    batch_size : int, default=1024
        Rows of a step online.
    learning_decay : float, default=0.7
        Exponent kappa of the share (tau + t)^-kappa of the t-th batch in the statistics. In (0.5, 1] a stationary
        stream converges; the less, the faster a drifting one is followed.
    learning_offset : float, default=10.0
        tau, which slows the first steps down.
    checkpoint : path, default=None
        A file that the whole state of the fit is written to, in one step, after every `checkpoint_every` passes and
        when Ctrl-C interrupts it. The same call finds it, goes on from there and ends with the same bits. Other data
        or other settings are refused.
    checkpoint_every : int, default=1
        Passes between two writes.

    Attributes
    ----------
    cluster_centers_ : ndarray of shape (n_clusters, n_features)
    labels_ : ndarray of shape (n_samples,), int32
        The nearest centre of each row; lazy for Dask collections. Of data that are read anew in every pass it is not
        kept: `predict` and `in_blocks` give it.
    counts_ : ndarray of shape (n_clusters,)
        Weight of each cluster; after `partial_fit` its share in the stream.
    inertia_ : float
        Sum of weights times squared distances to the nearest centre.
    n_iter_ : int
        Iterations of the best start.
    n_samples_seen_ : float
        Weight of all rows that the centres have learned from; online, that of all epochs.
    n_passes_ : int
        How often all rows were read, for every purpose.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        If `X` has string column names.

    Examples
    --------
    >>> import numpy as np
    >>> from fastem import KMeans
    >>> X = np.array([[1.0, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]])
    >>> kmeans = KMeans(n_clusters=2, random_state=0).fit(X)
    >>> np.sort(kmeans.cluster_centers_[:, 0])
    array([ 1., 10.])
    >>> kmeans.inertia_
    16.0
    """

    _parameter_constraints: dict = {
        "n_clusters": [Interval(Integral, 1, None, closed="left")],
        "init": [StrOptions({"k-means++", "random"}), callable, "array-like"],
        "n_init": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
        **OnlineMixin._online_constraints,
        **LongFitMixin._long_fit_constraints,
    }

    def __init__(
        self,
        n_clusters=8,
        *,
        init="k-means++",
        n_init="auto",
        max_iter=300,
        tol=1e-4,
        verbose=0,
        random_state=None,
        learning_method="batch",
        batch_size=1024,
        learning_decay=0.7,
        learning_offset=10.0,
        checkpoint=None,
        checkpoint_every=1,
    ):
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.verbose = verbose
        self.random_state = random_state
        self.learning_method = learning_method
        self.batch_size = batch_size
        self.learning_decay = learning_decay
        self.learning_offset = learning_offset
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every

    # fitting ----------------------------------------------------------------------------------------------------------

    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Find the centres.

        Parameters
        ----------
        X : array-like, path or other source of shape (n_samples, n_features)
            An array of any memory layout; float32, float64 and memory maps are read in place. Paths of .npy, .csv,
            Parquet, Zarr and HDF5 files, `Table`, `ArrayFile`, `Chunks` and pyarrow tables are read anew in every pass.
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative; an integer weight counts as that many equal rows.

        Returns
        -------
        self : KMeans

        Raises
        ------
        ValueError
            If X, the weights or the start are invalid, or fewer rows have a positive weight than there are clusters.

        Warns
        -----
        ConvergenceWarning
            If the data have fewer distinct rows than there are clusters. Or if Ctrl-C ended the fit: the centres are
            the best so far. With a `checkpoint`, KeyboardInterrupt is raised when it is written.
        """
        checkpoint, record, random_state = self._begin()
        source = self._source(X, sample_weight, reset=True, seed=random_state.randint(LARGEST_SEED))
        if source.n_candidates < self.n_clusters:
            weighted = "" if sample_weight is None else " with a positive weight"
            raise ValueError(f"n_samples={source.n_candidates}{weighted} should be >= n_clusters={self.n_clusters}.")
        if checkpoint is not None:
            checkpoint.bind(source.fingerprint())
        sample, n_starts = self._sample(source), self._n_starts()
        tol = self.tol * (sample.mean_variance() if sample.complete else mean_variance(source, sample.mean))
        metadata = {"n_samples": source.n_rows, "sample_weight": sample_weight}
        tasks = Tasks(self, n_starts, self.max_iter, _keep_on, X=X, y=y, metadata=metadata)

        def run(start: Any, number: int, loop: Any, keep: Any) -> LloydFit:
            tasks.begin_start()
            fit = self._run(start, source, sample, tol, tasks, loop, keep)
            tasks.end_start(fit.centers)
            if self.verbose:
                print(f"Start {number}: {fit.n_iter} iterations, inertia {fit.inertia:.6g}")
            return fit

        def next_start(number: int) -> Centers:
            return self._best_start(sample, tol, random_state)

        best = run_starts(record, n_starts, next_start, run, lambda fit: -fit.inertia, checkpoint)
        self._keep(best, source)
        tasks.end(best.centers)
        self._warn(best)
        self._first_rows = []
        return self

    def _source(self, X, sample_weight=None, **options) -> Source:
        return validated_source(self, X, sample_weight, **options)

    def _sample(self, source: Source) -> "_Sample":
        wanted = max(20_000, 256 * self.n_clusters)
        size = max(min(wanted, SAMPLE_MEMORY // (8 * source.n_features)), 8 * self.n_clusters)
        return _Sample.of(source.sample(size), size)

    def _n_starts(self) -> int:
        drawn = isinstance(self.init, str) or callable(self.init)
        if self.n_init == "auto":
            return 10 if callable(self.init) or (drawn and self.init == "random") else 1
        if not drawn and self.n_init > 1:
            warnings.warn(
                f"The initial centres are given: only one start is made instead of n_init={self.n_init}.",
                RuntimeWarning,
                stacklevel=3,
            )
        return self.n_init if drawn else 1

    def _start(self, sample: "_Sample", random_state) -> Centers:
        rows, weights, mean = sample.rows, sample.weights, sample.mean
        if not isinstance(self.init, str):
            centers = self.init
            if callable(centers):
                centers = centers(rows + mean, self.n_clusters, random_state=random_state)
            return Centers(self._checked(centers, mean.size), mean)
        if self.init == "random":
            shares = weights / weights.sum()
            chosen = random_state.choice(len(rows), size=self.n_clusters, replace=False, p=shares)
        else:
            chosen = seeding.kmeans_plusplus(rows, weights, self.n_clusters, random_state)
        return Centers(mean + rows[chosen], mean)

    def _checked(self, centers, n_features: int) -> np.ndarray:
        centers = check_array(centers, dtype=np.float64, input_name="init")
        if centers.shape != (self.n_clusters, n_features):
            raise ValueError(
                f"The initial centres should have the shape {(self.n_clusters, n_features)}, got {centers.shape}."
            )
        return centers

    def _best_start(self, sample: "_Sample", tol: float, random_state) -> Centers:
        """A start; where Lloyd's iterations can begin on the sample, the best of some after them."""
        start = self._start(sample, random_state)
        if sample.complete or not isinstance(self.init, str) or self.learning_method == "online":
            return start
        starts = [start] + [self._start(sample, random_state) for _ in range(SAMPLE_STARTS - 1)]
        memory = sample.rows, sample.weights
        runs = [run_lloyd_in_memory(start, *memory, tol=tol, max_iter=SAMPLE_ITERATIONS) for start in starts]
        return min(runs, key=lambda run: run.inertia).centers

    def _run(
        self, centers: Centers, source: Source, sample: "_Sample", tol: float, tasks: Tasks, loop: Any, keep: Any
    ) -> LloydFit:
        options = {"tol": tol, "max_iter": self.max_iter, "state": loop, "keep": keep}
        if self.learning_method == "online":
            learner = self._for_learning(centers, source.n_features)
            fit = run_em(
                learner, source, after_iteration=lambda n, model, bound, change: tasks.iteration(model), **options
            )
            found = learned(fit.model)
            statistics = found.e_step(source)
            return LloydFit(found, statistics.inertia, statistics.counts, fit.n_iter, fit.interrupted)
        if sample.complete and self.n_clusters * sample.rows.size <= SMALL_WORK:
            return run_lloyd_in_memory(centers, sample.rows, sample.weights, tol=tol, max_iter=self.max_iter)
        return run_lloyd(centers, source, after_iteration=lambda n, centers: tasks.iteration(centers), **options)

    def _keep(self, fit: LloydFit, source: Source) -> None:
        self.cluster_centers_, self.counts_ = fit.centers.means, fit.counts
        epochs = fit.n_iter if self.learning_method == "online" else 1
        self.n_samples_seen_ = float(fit.counts.sum()) * epochs
        self.inertia_ = fit.inertia
        self.n_iter_ = fit.n_iter
        self.n_passes_ = source.n_passes
        self.__dict__.pop("labels_", None)
        if source.in_memory:  # they are as long as the data, which may not fit
            self.labels_ = of_all(source, *self._results("predict"))

    def _warn(self, fit: LloydFit) -> None:
        messages = []
        n_filled = np.count_nonzero(fit.counts)
        if fit.interrupted:
            messages.append(f"The fit was interrupted after iteration {fit.n_iter}: the centres are the best so far.")
        if n_filled < self.n_clusters:
            messages.append(
                f"Only {n_filled} of {self.n_clusters} clusters have rows: the data have fewer distinct rows than "
                "clusters."
            )
        for message in messages:
            warnings.warn(message, ConvergenceWarning, stacklevel=4)

    def fit_predict(self, X, y=None, sample_weight=None):
        """Find the centres, then return the nearest one of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        labels : ndarray of shape (n_samples,), int32
        """
        self.fit(X, sample_weight=sample_weight)
        return self.labels_ if hasattr(self, "labels_") else self.predict(X)

    def fit_transform(self, X, y=None, sample_weight=None):
        """Find the centres, then return the distances of each row to all of them.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        distances : ndarray of shape (n_samples, n_clusters)
        """
        return self.fit(X, sample_weight=sample_weight).transform(X)

    # streams ----------------------------------------------------------------------------------------------------------

    def _first_model(self, source: Source, random_state: np.random.RandomState) -> Centers:
        return self._start(self._sample(source), random_state)

    def _start_is_complete(self) -> bool:
        return not isinstance(self.init, str) and not callable(self.init)

    def _rows_to_begin(self, n_features: int) -> int:
        return self.n_clusters

    def _model(self) -> Centers:
        shares = self.counts_ / self.counts_.sum()
        return replace(Centers.of(self.cluster_centers_), shares=shares)

    def _keep_model(self, centers: Centers) -> None:
        self.cluster_centers_ = centers.means
        self.counts_ = np.zeros(len(centers.means)) if centers.shares is None else centers.shares

    # what fitted centres say of rows ----------------------------------------------------------------------------------

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "cluster_centers_")

    @property
    def _n_features_out(self) -> int:
        """Columns of `transform`, for their names."""
        return len(self.cluster_centers_)

    def _results(self, method: str) -> tuple[Write, tuple[int, ...], Any]:
        """How to compute what a method returns for the rows of a block, and its columns and dtype."""
        check_is_fitted(self)
        centers = Centers.of(self.cluster_centers_)
        if method == "predict":
            return lambda rows, labels: centers.assign(rows, labels=labels), (), np.int32
        return centers.distances, (len(centers.means),), np.float64

    def in_blocks(self, X, method="predict"):
        """What a method returns, block by block: nothing of the length of the data is ever held.

        Parameters
        ----------
        X : array-like, path or other source of shape (n_samples, n_features)
        method : {'predict', 'transform'}, default='predict'

        Yields
        ------
        results : ndarray of shape (n, ...)
            Those of the next rows. How many rows a block has depends on where they come from.
        """
        check_method(method, ("predict", "transform"))
        results = self._results(method)
        return in_blocks(self._source(X), *results)

    def predict(self, X, *, out=None):
        """The nearest centre of each row.

        Parameters
        ----------
        X : array-like, path or other source of shape (n_samples, n_features)
        out : ndarray of shape (n_samples,), int32, default=None
            Where to write them, a memory map perhaps; after an error its content is undefined.

        Returns
        -------
        labels : ndarray of shape (n_samples,), int32
        """
        results = self._results("predict")
        return of_all(self._source(X), *results, out)

    def transform(self, X, *, out=None):
        """Euclidean distances of each row to all centres.

        Parameters
        ----------
        X : array-like, path or other source of shape (n_samples, n_features)
        out : ndarray of shape (n_samples, n_clusters), float64, default=None
            Where to write them, a memory map perhaps; after an error its content is undefined.

        Returns
        -------
        distances : ndarray of shape (n_samples, n_clusters)
        """
        results = self._results("transform")
        return of_all(self._source(X), *results, out)

    def score(self, X, y=None, sample_weight=None):
        """Minus the inertia of the rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        score : float
        """
        check_is_fitted(self)
        source = self._source(X, sample_weight)
        return -Centers.of(self.cluster_centers_).e_step(source).inertia


def _keep_on(estimator: KMeans, model: Any) -> None:
    """Centres, or what learns them, as the fitted attributes of an estimator."""
    estimator._keep_model(learned(model))


class _Sample(NamedTuple):
    """Rows for seeding: about their mean, in an order that does not depend on that of the data."""

    rows: np.ndarray
    weights: np.ndarray
    mean: np.ndarray
    complete: bool  # these are all

    @classmethod
    def of(cls, block: Block, size: int) -> "_Sample":
        order = seeding.canonical_order(block.rows)
        weights = np.ones(len(order)) if block.weights is None else block.weights[order]
        rows = block.rows[order]
        mean = np.einsum("n,nd->d", weights, rows) / weights.sum()
        rows -= mean
        return cls(rows, weights, mean, len(rows) < size)

    def mean_variance(self) -> float:
        """The variance of a feature, averaged over the features."""
        squares = np.einsum("n,nd,nd->", self.weights, self.rows, self.rows)
        return float(squares / (self.weights.sum() * self.mean.size))
