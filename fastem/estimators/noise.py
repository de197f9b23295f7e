"""Noise beside the components of an estimator: its parameter, its attributes, its start."""

from collections.abc import Iterable
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastem.estimators.annotations import Doubles
from fastem.estimators.scikit_learn import Interval, StrOptions
from fastem.families.noise import NoisyMixtureModel
from fastem.search.noise import NoisySpace
from fastem.search.space import SearchSpace
from fastem.sources import Block, Source

OF_NOISE: dict[str, list] = {"noise": [StrOptions({"uniform"}), Interval(Real, 0.0, None, closed="neither"), None]}
FIRST_WEIGHT = 0.1  # of the noise in a start


class NoiseMixin:
    """For estimators with the parameter `noise`."""

    noise: Any
    noise_weight_: float
    noise_log_volume_: float
    noise_box_: Doubles

    # what the estimator has -------------------------------------------------------------------------------------------

    _components_class: ClassVar[type]
    e_step: Any

    if TYPE_CHECKING:

        def _components(self) -> Any:
            """The components as a model, with their weights in the whole."""

        def _keep_components(self, model: Any) -> None: ...
        def _nan_refusal(self) -> str | None: ...

    # ------------------------------------------------------------------------------------------------------------------

    @property
    def _model_class(self) -> type:
        return self._components_class if self.noise is None else NoisyMixtureModel

    def _model(self) -> Any:
        components = self._components()
        if self.noise is None or not hasattr(self, "noise_weight_"):  # or put together by hand
            return components
        weights = components.weights / components.weights.sum()
        parts = self.noise_weight_, self.noise_log_volume_, np.asarray(self.noise_box_)
        return NoisyMixtureModel(components.reweighted(weights), *parts)

    def _keep_model(self, model: Any) -> None:
        if isinstance(model, NoisyMixtureModel):
            self.noise_weight_, self.noise_log_volume_ = float(model.noise_weight), float(model.log_volume)
            self.noise_box_ = model.box
            model = model.components.reweighted(model.weights)
        self._keep_components(model)

    def _space_with_noise(self, space: SearchSpace, source: Source) -> SearchSpace:
        """The space to search, with noise if there is to be any; a pass over the rows."""
        if self.noise is None:
            return space
        if self.e_step != "soft":
            raise ValueError(f"noise has a share in every row: it is for e_step='soft', not {self.e_step!r}.")
        if self._nan_refusal() is None:
            raise ValueError("noise is of complete rows: with it missing='em' is not possible.")
        box = box_of(source)
        log_volume = _log_volume(box) if self.noise == "uniform" else float(np.log(self.noise))
        return NoisySpace(space, NoisyMixtureModel(space.blank, FIRST_WEIGHT, log_volume, box))

    def _complete_twin(self, twin: Any) -> None:
        self._without_noise("to_sklearn")

    def _without_noise(self, what: str) -> Any:
        """The fitted model for what is said of components alone, or ValueError."""
        if isinstance(self._model(), NoisyMixtureModel):
            raise ValueError(f"{what} is of a mixture without noise: this one has noise={self.noise!r}.")
        return self._model()


def box_of(source: Source) -> np.ndarray:
    """Least and greatest values of the features in rows of positive weight, (2, D)."""
    parts = [part for part in source.gather(_box) if part is not None]
    return np.stack([np.min([part[0] for part in parts], axis=0), np.max([part[1] for part in parts], axis=0)])


def _box(blocks: Iterable[Block]) -> np.ndarray | None:
    box = None
    for rows, weights in blocks:
        counted = rows if weights is None or weights.all() else rows[weights > 0]
        if len(counted):
            own = np.stack([counted.min(axis=0), counted.max(axis=0)]).astype(np.float64)
            box = own if box is None else np.stack([np.minimum(box[0], own[0]), np.maximum(box[1], own[1])])
    return box


def _log_volume(box: np.ndarray) -> float:
    lengths = box[1] - box[0]
    if not (lengths > 0).all():
        raise ValueError(
            f"noise='uniform' fills the box of the rows, which has no volume: feature {int(np.argmin(lengths))} is "
            "constant. Leave it out, or set noise to a volume."
        )
    return float(np.log(lengths).sum())
