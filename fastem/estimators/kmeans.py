"""The scikit-learn face of k-means."""

import os
from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass, replace
from numbers import Integral, Real
from os import PathLike
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from fastem.engine.e_steps import EStep, Soft
from fastem.engine.loop import Fit
from fastem.engine.stopping import Gain, Rest
from fastem.estimators import fitting, partial_fit
from fastem.estimators.annotations import Data, Reals, Seed
from fastem.estimators.attributes import KMeansAttributes
from fastem.estimators.callbacks import CallbackSupportMixin, with_callbacks
from fastem.estimators.exchange import TwinMixin
from fastem.estimators.parameters import Estimator
from fastem.estimators.problem import Problem, Report
from fastem.estimators.row_results import Write, check_method, in_blocks, of_all
from fastem.estimators.scikit_learn import Interval, StrOptions, fit_context
from fastem.estimators.validation import validated_source
from fastem.families.centers import Centers, Refilling
from fastem.families.model import falling
from fastem.registry import warn
from fastem.search import seeding
from fastem.search.kmeans import CenterSearch
from fastem.sources import Source


@dataclass(eq=False, repr=False)
class KMeans(
    KMeansAttributes,
    TwinMixin,
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    ClusterMixin,
    Estimator,
):
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
    algorithm : {'lloyd'}, default='lloyd'
        For scikit-learn's sake: there is no other.
    copy_x : bool, default=True
        For scikit-learn's sake: X is never written to.

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

    n_clusters: int = 8
    _: KW_ONLY
    init: Literal["k-means++", "random"] | ArrayLike | Callable[..., Any] = "k-means++"
    n_init: int | Literal["auto"] = "auto"
    max_iter: int = 300
    tol: float = 1e-4
    verbose: int = 0
    random_state: Seed = None
    learning_method: Literal["batch", "online"] = "batch"
    batch_size: int = 1024
    learning_decay: float = 0.7
    learning_offset: float = 10.0
    checkpoint: str | PathLike[str] | None = None
    checkpoint_every: int = 1
    algorithm: Literal["lloyd"] = "lloyd"
    copy_x: bool = True

    _lasting = ("n_clusters",)
    _twin = ("sklearn.cluster", "KMeans")
    _model_class: ClassVar[type] = Centers
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_clusters": [Interval(Integral, 1, None, closed="left")],
        "init": [StrOptions({"k-means++", "random"}), callable, "array-like"],
        "n_init": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
        **partial_fit.CONSTRAINTS,
        **fitting.CONSTRAINTS,
        "algorithm": [StrOptions({"lloyd"})],
        "copy_x": ["boolean"],
    }

    # fitting ----------------------------------------------------------------------------------------------------------

    @with_callbacks
    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Data, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
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
        return fitting.fit(KMeansProblem(self), X, y, sample_weight)

    def fit_predict(self, X: Data, y: object = None, sample_weight: ArrayLike | None = None) -> NDArray[np.int32]:
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

    def fit_transform(self, X: Data, y: object = None, sample_weight: ArrayLike | None = None) -> Reals:
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

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Data, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from more rows of a stream: a step of stepwise k-means for each `batch_size` of them.

        Counts and sums of the past are mixed with those of a batch, s <- (1 - rho) s + rho s_batch with
        rho = (learning_offset + t)^-learning_decay for the t-th batch, or its share in all rows so far where that is
        more, and centres are their ratios. Of a smaller batch, one row even, each row has its part of rho. The first
        rows are kept until there are enough to begin with: until then the estimator is not fitted. After `fit`, the
        stream goes on from its result.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            In the order of the stream, which should be random but for what is to be followed.
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self : KMeans
            With its centres after the last step, and `n_samples_seen_`.
        """
        return partial_fit.learn(KMeansProblem(self), X, sample_weight)

    def _source(self, X: Any, sample_weight: Any = None, **options: Any) -> Source:
        return validated_source(self, X, sample_weight, **options)

    def _complete(self) -> None:
        super()._complete()
        self.counts_ = np.bincount(self.labels_, minlength=self.n_clusters).astype(np.float64)

    def _complete_twin(self, twin: Any) -> None:
        twin._n_threads = os.cpu_count() or 1  # which its `predict` takes

    def _model(self) -> Centers:
        return replace(Centers.of(self.cluster_centers_), shares=self.counts_ / self.counts_.sum())

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

    def in_blocks(self, X: Data, method: Literal["predict", "transform"] = "predict") -> Iterator[NDArray[Any]]:
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

    def predict(self, X: Data, *, out: NDArray[Any] | None = None) -> NDArray[np.int32]:
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

    def transform(self, X: Data, *, out: NDArray[Any] | None = None) -> Reals:
        """Euclidean distances of each row to all centres.

        Parameters
        ----------
        X : array-like, path or other source of shape (n_samples, n_features)
        out : ndarray of shape (n_samples, n_clusters), float64 or float32, default=None
            Where to write them, a memory map perhaps; after an error its content is undefined.

        Returns
        -------
        distances : ndarray of shape (n_samples, n_clusters)
        """
        results = self._results("transform")
        return of_all(self._source(X), *results, out)

    def score(self, X: Data, y: object = None, sample_weight: ArrayLike | None = None) -> float:
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
        return -Centers.of(self.cluster_centers_).e_step(self._source(X, sample_weight)).inertia


@dataclass(frozen=True)
class KMeansProblem(Problem):
    """The fit of k-means: EM with hard assignments, which ends when the centres rest."""

    @property
    def init(self) -> Any:
        return self.estimator.init

    @property
    def _drawn(self) -> bool:
        return isinstance(self.init, str) or callable(self.init)

    @property
    def n_starts(self) -> int:
        if self.estimator.n_init == "auto":
            return 10 if callable(self.init) or (self._drawn and self.init == "random") else 1
        return self.estimator.n_init if self._drawn else 1

    def runs(self, source: Source, random_state: np.random.RandomState) -> Callable[[int], Fit]:
        own, search = self.estimator, self.search(source, random_state)
        if source.n_candidates < own.n_clusters:
            weighted = "" if source.n_candidates == source.n_rows else " with a positive weight"
            raise ValueError(f"n_samples={source.n_candidates}{weighted} should be >= n_clusters={own.n_clusters}.")
        if own.n_init != "auto" and own.n_init > self.n_starts:
            warn(
                f"The initial centres are given: only one start is made instead of n_init={own.n_init}.",
                RuntimeWarning,
            )
        tol = own.tol * search.mean_variance

        variant = self.variant(source, random_state, 0, tol)

        def online(number: int) -> Fit:
            return Fit(search.next(), **variant)

        def in_passes(number: int) -> Fit:
            return Fit(search.improved(tol), **variant)

        def in_memory(number: int) -> Fit:
            centers, n_iter = search.at_rest(search.next(), tol, own.max_iter)
            return Fit(centers, **variant, n_iter=n_iter, converged=True)

        if own.learning_method == "online":
            return online
        small = search.sample.complete and own.n_clusters * search.sample.rows.size <= seeding.SMALL_WORK
        return in_memory if small else in_passes

    def variant(
        self, source: Source, random_state: np.random.RandomState, number: int, tol: float = 0.0
    ) -> dict[str, Any]:
        if self.estimator.learning_method == "online":
            return {"stop": Gain(tol), "schedule": partial_fit.schedule(self, source.n_features)}
        return {"stop": Rest(tol), "e_step": Refilling()}

    def search(self, source: Source, random_state: np.random.RandomState) -> CenterSearch:
        return CenterSearch(source, self.estimator.n_clusters, self.init, random_state)

    def finish(self, fit: Fit, source: Source) -> None:
        fit.model = fit.model.measured(source)

    def merit(self, fit: Fit, source: Source) -> float:
        return -fit.model.inertia

    # the outcome ------------------------------------------------------------------------------------------------------

    def show(self, estimator: Any, fit: Fit) -> None:
        estimator._keep_model(fit.model)

    def keep(self, fit: Fit, source: Source) -> None:
        own = self.estimator
        if isinstance(own.init, str):  # users can mean nothing by their order
            fit.model = fit.model.reordered(falling(fit.model.counts, fit.model.means))
        centers = fit.model
        own.cluster_centers_, own.counts_, own.inertia_ = centers.means, centers.counts, centers.inertia
        own.n_iter_, own.n_passes_ = fit.n_iter, source.n_passes
        own.n_samples_seen_ = float(centers.counts.sum()) * (1 if fit.schedule is None else fit.n_iter)
        self.keep_precision(source)
        vars(own).pop("labels_", None)
        if source.in_memory:  # they are as long as the data, which may not fit
            own.labels_ = of_all(source, *own._results("predict"))

    def messages(self, fit: Fit, source: Source) -> list[str]:
        messages, n_clusters = [], self.estimator.n_clusters
        n_filled = np.count_nonzero(fit.model.counts)
        if fit.interrupted:
            messages.append(f"The fit was interrupted after iteration {fit.n_iter}: the centres are the best so far.")
        if n_filled < n_clusters:
            messages.append(
                f"Only {n_filled} of {n_clusters} clusters have rows: the data have fewer distinct rows than clusters."
            )
        return messages

    def report(self) -> Report | None:
        return KMeansReport() if self.estimator.verbose else None

    # streams ----------------------------------------------------------------------------------------------------------

    @property
    def start_is_complete(self) -> bool:
        return not self._drawn

    def rows_to_begin(self, n_features: int) -> int:
        return self.estimator.n_clusters

    def first_model(self, source: Source, random_state: np.random.RandomState) -> Centers:
        return self.search(source, random_state).next()

    def e_step(self, random_state: np.random.RandomState, number: int) -> EStep:
        return Soft()


class KMeansReport(Report):
    """The outcome of each start on the screen."""

    def end(self, number: int, fit: Fit) -> None:
        print(f"Start {number}: {fit.n_iter} iterations, inertia {fit.model.inertia:.6g}")
