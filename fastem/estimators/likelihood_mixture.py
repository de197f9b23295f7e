"""Mixtures whose parameters are estimates of greatest likelihood: EM in its variants, criteria, streams."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from fastem.engine.e_steps import E_STEPS
from fastem.engine.stepwise import batches
from fastem.estimators import partial_fit
from fastem.estimators.annotations import Data
from fastem.estimators.base_mixture import BaseMixture
from fastem.estimators.mixture_problem import LikelihoodProblem
from fastem.estimators.scikit_learn import StrOptions, fit_context
from fastem.estimators.validation import Domain
from fastem.families.model import LikelihoodModel
from fastem.sources import Block, Source

CERTAINTY_ROWS = 4096  # whose responsibilities are held at once


@dataclass(eq=False, repr=False, kw_only=True)
class LikelihoodMixture(BaseMixture):
    """What the mixtures add that EM fits."""

    e_step: Literal["soft", "hard", "stochastic"] = "soft"
    learning_method: Literal["batch", "online"] = "batch"
    batch_size: int = 1024
    learning_decay: float = 0.7
    learning_offset: float = 10.0

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseMixture._parameter_constraints,
        "e_step": [StrOptions(set(E_STEPS))],
        **partial_fit.CONSTRAINTS,
    }

    # of columns among others ------------------------------------------------------------------------------------------

    _block_options: ClassVar[tuple[str, ...]] = ()  # the parameters of a block of columns, for families that make one

    def _domain_of_block(self) -> Domain | None:
        """What to check in the rows of a block, besides that they are finite."""
        return None

    def _look_at(self, source: Source) -> None:
        """Learn what the model must know of the rows beforehand."""

    # ------------------------------------------------------------------------------------------------------------------

    def _problem(self) -> LikelihoodProblem:
        raise NotImplementedError

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Data, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from more rows of a stream: a step of stepwise EM for each `batch_size` of them.

        The statistics of the past are mixed with those of a batch, s <- (1 - rho) s + rho s_batch with
        rho = (learning_offset + t)^-learning_decay for the t-th batch, or its share in all rows so far where that is
        more, and the M-step is taken of them (Cappe and Moulines 2009). Of a smaller batch, one row even, each row has
        its part of rho. The first rows are kept until there are enough for a first model: until then the estimator is
        not fitted. After `fit`, the stream goes on from its result.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            In the order of the stream, which should be random but for what is to be followed.
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self : estimator
            With its parameters after the last step, `n_samples_seen_` and `lower_bound_`, the mean of the batches of
            this call, each before its step.
        """
        return partial_fit.learn(self._problem(), X, sample_weight)

    def bic(self, X: Data, sample_weight: ArrayLike | None = None) -> float:
        """Bayesian information criterion, -2 log L + p log N with N the sum of the weights; lower is better.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        bic : float
        """
        check_is_fitted(self)
        model = self._model()
        total, weight = model.log_likelihood(self._source(X, sample_weight))
        return -2.0 * total + model.n_parameters * np.log(weight)

    def aic(self, X: Data, sample_weight: ArrayLike | None = None) -> float:
        """Akaike information criterion, -2 log L + 2 p; lower is better.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        aic : float
        """
        check_is_fitted(self)
        model = self._model()
        total, _ = model.log_likelihood(self._source(X, sample_weight))
        return -2.0 * total + 2.0 * model.n_parameters

    def icl(self, X: Data, sample_weight: ArrayLike | None = None) -> float:
        """Integrated complete likelihood, as an information criterion; lower is better.

        BIC and -2 sum_n w_n log max_k r_nk: what it costs that the components of rows are uncertain (Biernacki, Celeux
        and Govaert 2000). It asks for clusters, where BIC asks for a density.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        icl : float
        """
        check_is_fitted(self)
        model, source = self._model(), self._source(X, sample_weight)
        total, weight = model.log_likelihood(source)
        log_certainty = float(source.total(partial(_log_certainty, model, gaps=source.gaps))[0])
        return -2.0 * total + model.n_parameters * np.log(weight) - 2.0 * log_certainty

    @property
    def n_parameters_(self) -> int:
        """Free parameters of the fitted mixture, as BIC and AIC count them."""
        check_is_fitted(self)
        return self._model().n_parameters


def _log_certainty(model: LikelihoodModel, blocks: Iterable[Block], *, gaps: bool) -> np.ndarray:
    """Sum over rows of w log max_k r_k, (1,)."""
    total = 0.0
    evaluate = model.evaluate_with_gaps if gaps else model.evaluate
    for rows, weights in batches(blocks, CERTAINTY_ROWS):
        shares = np.empty((len(rows), model.n_components))
        evaluate(rows, responsibilities=shares)
        logs = np.log(np.maximum(shares.max(axis=1), 1.0 - shares.sum(axis=1)))  # a row may be noise
        if gaps:
            logs[np.isnan(rows).all(axis=1)] = 0.0  # they count for nothing
        total += float(logs.sum() if weights is None else weights @ logs)
    return np.array([total])
