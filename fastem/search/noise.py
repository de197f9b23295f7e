"""How mixtures with noise are searched for: as those without it, with some noise from the beginning."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from fastem.families.noise import NoisyMixtureModel
from fastem.search.seeding import Seeds
from fastem.search.space import SearchSpace
from fastem.sources import Source


class NoisySpace(SearchSpace[NoisyMixtureModel]):
    """Mixtures of a space, and noise.

    Parameters
    ----------
    components : SearchSpace
        That of the components.
    blank : NoisyMixtureModel
        With the noise of every start.
    """

    def __init__(self, components: SearchSpace, blank: NoisyMixtureModel):
        super().__init__(blank)
        self.components = components
        for name in ("same_basin", "short_run", "first_look", "max_trials", "max_failures", "parameters"):
            setattr(self, name, getattr(components, name))

    @property
    def n_seeding_parameters(self) -> int:
        return self.components.n_seeding_parameters

    def of_seeds(self, seeds: Seeds, partition: np.ndarray, *, clustered: bool) -> NoisyMixtureModel:
        return self._with_noise(self.components.of_seeds(seeds, partition, clustered=clustered))

    def of_rows(self, source: Source, partition: np.ndarray) -> NoisyMixtureModel:
        return self._with_noise(self.components.of_rows(source, partition))

    def coordinates(self, seeds: Seeds) -> np.ndarray:
        return self.components.coordinates(seeds)

    def attempts(self, seeds: Seeds) -> Iterator[tuple[str, np.ndarray]]:
        return self.components.attempts(seeds)

    def moves(
        self, seeds: Seeds, random_state: np.random.RandomState
    ) -> Callable[[NoisyMixtureModel], Iterator[NoisyMixtureModel]]:
        moves = self.components.moves(seeds, random_state)
        return lambda model: (replace(model, components=moved) for moved in moves(model.components))

    def released(self, model: NoisyMixtureModel) -> NoisyMixtureModel:
        return replace(model, components=self.components.released(model.components))

    def start_of(self, model: NoisyMixtureModel, source: Source) -> NoisyMixtureModel:
        return replace(model, components=self.components.start_of(model.components, source))

    def with_values(self, start: NoisyMixtureModel, given: Mapping[str, np.ndarray]) -> NoisyMixtureModel:
        return replace(start, components=self.components.with_values(start.components, given))

    def _with_noise(self, components: Any) -> NoisyMixtureModel:
        return replace(self.blank, components=components)
