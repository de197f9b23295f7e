"""How mixtures of columns of different kinds are searched for."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from fastem.families.mixed import MixedMixtureModel
from fastem.search.discrete_moves import moves
from fastem.search.seeding import Seeds, standardised
from fastem.search.space import SearchSpace
from fastem.sources import Source
from fastem.sources.chosen_columns import ChosenColumns

OF_A_SPACE = ("same_basin", "short_run", "first_look", "max_trials", "max_failures")


class MixedSpace(SearchSpace[MixedMixtureModel]):
    """Mixtures whose columns are blocks of different families; one block alone is searched for as its family is.

    k-means and random rows in turn, and moves by the residuals of all columns together, as of discrete mixtures:
    columns of a component that are not independent tell that it holds several groups.

    Parameters
    ----------
    blank : MixedMixtureModel
    spaces : list of SearchSpace
        Of the blocks.
    """

    short_run, first_look = 20, 8
    max_trials = max_failures = 24
    n_attempts = 6

    def __init__(self, blank: MixedMixtureModel, spaces: list[SearchSpace]):
        super().__init__(blank)
        self.spaces, self.alone = spaces, len(spaces) == 1
        for name in OF_A_SPACE if self.alone else ():
            setattr(self, name, getattr(spaces[0], name))

    @property
    def n_seeding_parameters(self) -> int:
        return sum(space.n_seeding_parameters for space in self.spaces)

    def of_seeds(self, seeds: Seeds, partition: np.ndarray, *, clustered: bool) -> MixedMixtureModel:
        own = zip(self.spaces, self._seeds_of_blocks(seeds), strict=True)
        return self._of([space.of_seeds(some, partition, clustered=clustered) for space, some in own])

    def of_rows(self, source: Source, partition: np.ndarray) -> MixedMixtureModel:
        own = zip(self.spaces, self.blank.columns, strict=True)
        return self._of([space.of_rows(ChosenColumns(source, columns), partition) for space, columns in own])

    def coordinates(self, seeds: Seeds) -> np.ndarray:
        """Those of the blocks; of several each in units of its greatest deviation."""
        own = zip(self.spaces, self._seeds_of_blocks(seeds), strict=True)
        parts = [space.coordinates(some) for space, some in own]
        return parts[0] if self.alone else np.hstack([standardised(x, seeds.weights, together=True) for x in parts])

    def attempts(self, seeds: Seeds) -> Iterator[tuple[str, np.ndarray]]:
        if self.alone:
            yield from self.spaces[0].attempts(*self._seeds_of_blocks(seeds))
            return
        coordinates = self.coordinates(seeds)
        for number in range(self.n_attempts if self.n_components > 1 else 1):
            yield ("random_from_data" if number % 2 else "kmeans"), coordinates

    def moves(
        self, seeds: Seeds, random_state: np.random.RandomState
    ) -> Callable[[MixedMixtureModel], Iterator[MixedMixtureModel]]:
        if self.alone:
            of_block = self.spaces[0].moves(self._seeds_of_blocks(seeds)[0], random_state)
            return lambda model: (self._of([moved]) for moved in of_block(model.blocks[0]))
        of_partition = partial(self.of_seeds, seeds, clustered=False)
        return lambda model: map(of_partition, moves(model, *seeds))

    def start_of(self, model: MixedMixtureModel, source: Source) -> MixedMixtureModel:
        own = zip(self.spaces, model.blocks, strict=True)
        return self._of([space.start_of(block, source) for space, block in own])

    def _seeds_of_blocks(self, seeds: Seeds) -> list[Seeds]:
        return [Seeds(np.ascontiguousarray(seeds.rows[:, own]), seeds.weights) for own in self.blank.columns]

    def _of(self, blocks: list[Any]) -> MixedMixtureModel:
        weights = blocks[0].weights
        return replace(self.blank, blocks=(blocks[0], *(block.reweighted(weights) for block in blocks[1:])))
