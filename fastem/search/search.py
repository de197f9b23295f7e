"""Where EM begins: explicit parameters, a partition of the rows, or a search on a bounded random sample.

The basin is worth more than the last digits: several starts take a few EM iterations each on the sample, moves of
single components improve the best of them, and it is fitted on growing parts of the sample before it meets all rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from fastem.engine.loop import Fit
from fastem.families.cached import cached_property
from fastem.search import seeding
from fastem.search.initial_values import checked_partition
from fastem.search.labels import kept_to, of_labels
from fastem.search.moves import split_and_merge
from fastem.search.space import SearchSpace
from fastem.search.subsampling import FACTOR, grow, run_level
from fastem.sources import Block, Source
from fastem.sources.labels import LabelledSource

SAMPLE_MEMORY = 2**24  # bytes that the sample may take
MOST_TO_MOVE = 64  # components up to which moves are tried


@dataclass
class Search:
    """An endless supply of first models for one data set.

    Parameters
    ----------
    space : SearchSpace
        What the family says of its models.
    source : Source
    init_params : one of `seeding.METHODS`, callable or array-like
    subsampling : bool or 'auto'
    random_state : RandomState
    given : mapping of str to ndarray
        Fields of the models that replace what was found.
    """

    space: SearchSpace
    source: Source
    init_params: Any
    subsampling: bool | str
    random_state: np.random.RandomState
    given: Mapping[str, np.ndarray] = field(default_factory=dict)

    @np.errstate(over="ignore", invalid="ignore")  # the M-step at the end finds out
    def next(self) -> Any:
        """The next start.

        Raises
        ------
        KeyboardInterrupt
            If Ctrl-C comes meanwhile: a start that was not searched to its end is not the one that was asked for.
        """
        return self.space.with_values(self._start(), self.given)

    def _start(self) -> Any:
        if set(self.given) >= self.space.parameters:
            return self.space.blank
        if not isinstance(self.init_params, str) and not callable(self.init_params):
            partition = checked_partition(self.init_params, self.source.n_rows, self.space.n_components)
            if isinstance(self.source, LabelledSource):
                partition = kept_to(self.source.labels, partition)
            return self.space.of_rows(self.source, partition)
        if isinstance(self.source, LabelledSource):
            start = of_labels(self.space, self.source, self._seeding_rows, self.init_params, self.random_state)
            return self.space.start_of(start, self.source)
        searching = self.subsampling and not self.given and self._named("kmeans")
        model = self._best_of_short_runs() if searching else self._of_one_partition()
        if self._growing:
            model = grow(model, self._sample, self._first_level)
        return self.space.start_of(model, self.source)

    def _named(self, *methods: str) -> bool:
        return isinstance(self.init_params, str) and self.init_params in methods

    # the sample -------------------------------------------------------------------------------------------------------

    @cached_property
    def _seeding_rows(self) -> int:
        """Rows that are enough to find a basin: some thousands, 256 a component, four a parameter, as memory allows."""
        wanted = max(10_000, 256 * self.space.n_components, 4 * self.space.n_seeding_parameters)
        return max(min(wanted, SAMPLE_MEMORY // (8 * self.source.n_features)), 8 * self.space.n_components)

    @property
    def _growing(self) -> bool:
        """Whether levels of the sample come before all rows."""
        if self.given or callable(self.init_params):
            return False
        return self.subsampling is True or (self.subsampling == "auto" and self._many_rows)

    @property
    def _many_rows(self) -> bool:
        return self.source.n_rows >= 2 * FACTOR * self._seeding_rows

    @property
    def _first_level(self) -> int:
        return self._seeding_rows if self._many_rows else max(1, len(self._sample.rows) // FACTOR**2)

    @cached_property
    def _sample(self) -> Block:
        """Rows in random order, in memory."""
        size = self._seeding_rows
        if self._growing and self._many_rows:
            most = SAMPLE_MEMORY // (8 * self.source.n_features)
            size = max(size, min(most, self.source.n_rows // FACTOR))
        return self.source.sample(size)

    @cached_property
    def _seeds(self) -> seeding.Seeds:
        rows, weights = self._sample
        rows = rows[: self._seeding_rows]
        weights = np.ones(len(rows)) if weights is None else weights[: len(rows)] / weights[: len(rows)].mean()
        return seeding.Seeds(rows, weights)

    # searching --------------------------------------------------------------------------------------------------------

    def _of_one_partition(self) -> Any:
        rows, weights = self._seeds
        if callable(self.init_params):
            partition = self.init_params(rows, self.space.n_components, self.random_state)
            partition = checked_partition(partition, len(rows), self.space.n_components)
            return self.space.of_seeds(self._seeds, partition, clustered=False)
        own = self.space.coordinates(self._seeds), weights, self.space.n_components
        partition = seeding.partition(self.init_params, *own, self.random_state)
        return self.space.of_seeds(self._seeds, partition, clustered=not self._named("random"))

    def _best_of_short_runs(self) -> Any:
        """The best of several starts after a few EM iterations each on the seeds, then refined by moves.

        The starts end when the best basin has been found twice.
        """
        starts = self.space.starts(self._seeds, self.random_state)
        first, second = next(starts), next(starts, None)
        if second is None:
            return first
        merit = partial(self.space.merit, n_rows=len(self._seeds.rows))
        best, same_basin = self._short_run(first), self.space.same_basin
        for start in chain([second], starts):
            fit = self._short_run(start, best.lower_bounds[-1] - same_basin)
            found_again = abs(fit.lower_bounds[-1] - best.lower_bounds[-1]) < same_basin
            best = max(best, fit, key=merit)
            if found_again:
                break
        if 2 < self.space.n_components <= MOST_TO_MOVE:  # a move takes three components
            best = split_and_merge(best, self.space, self._seeds, self.random_state, self._short_run)
        return self.space.released(best.model)

    def _short_run(self, model: Any, to_beat: float = -np.inf) -> Fit:
        """A few EM iterations; fewer if `to_beat` is out of reach at the present gain, since gains only shrink."""
        seeds, size = Block(*self._seeds), len(self._seeds.rows)
        look = run_level(model, seeds, size, self.space.first_look)
        gain = look.lower_bounds[-1] - look.lower_bounds[-2] if len(look.lower_bounds) > 1 else np.inf
        left = self.space.short_run - look.n_iter
        if look.converged or look.lower_bounds[-1] + left * gain < to_beat:
            return look
        return run_level(look.model, seeds, size, left, previous=look.lower_bounds[-1])
