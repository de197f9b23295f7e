"""Models that users write, as the EM loop sees them.

A user's E-step knows one block of rows; the loop knows whole sources. In between, rows are cut into blocks of a fixed
size and the records that the E-step makes of them are added up as flat vectors, field by field.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from hashlib import blake2b
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastem.engine.stepwise import batches
from fastem.sources import Block as Rows
from fastem.sources import Source
from fastem.storage.packing import pack

BLOCK_ROWS = 4096  # rows of a block: small temporaries, and calls that are few against the work in them


class Block(NamedTuple):
    """What an E-step is given.

    Attributes
    ----------
    rows : ndarray of shape (n, n_features)
        float64 in C order; a copy, to be changed at will.
    weights : ndarray of shape (n,)
        float64, ones if the data have no weights. A row of weight w counts as w equal rows.
    """

    rows: NDArray[np.float64]
    weights: NDArray[np.float64]


class Statistics(Protocol):
    """What an E-step makes of a block: a NamedTuple or dataclass of real numbers and arrays.

    The records of all blocks are added up field by field, so every field must be a sum over rows. If there is a field
    `weight` as well, it is what the bound is divided by; otherwise that is the sum of the weights of the rows.
    """

    @property
    def lower_bound(self) -> float:
        """The sum of w_n L_n over the rows, in nats.

        L_n is the bound of ln p(x_n | theta) at the parameters of the E-step; after an exact E-step it is ln p(x_n |
        theta) itself.
        """
        ...


S = TypeVar("S", bound=Statistics)
M = TypeVar("M")


class Model(Protocol[S]):
    """Parameters that can be improved. Best immutable: the engine keeps old models.

    Before the first iteration the E-step is called with one row, to learn the fields and shapes of its statistics.
    Besides these two methods a model may have

    - ``flatten(reference)`` and ``unflatten(coordinates)``, see `Flat`, for SQUAREM;
    - ``log_prior``, a number: ln p(theta) up to a constant, added to the sum of the lower bounds (MAP estimates);
    - ``bound_slack``, a number: how far the M-step that made it may have taken the bound down, nats per unit weight;
    - ``log_joint(rows)``, see `fastem.lower_bound`.
    """

    def e_step(self, block: Block, /) -> S:
        """The statistics of a block of rows at these parameters."""
        ...

    def m_step(self, statistics: S, /) -> "Model[S]":
        """The parameters that maximise the expected complete log-likelihood, from the statistics of all rows."""
        ...


class Layout(NamedTuple):
    """How a record lies in a flat vector.

    Attributes
    ----------
    record : NamedTuple or dataclass instance
        Any record of the kind.
    shapes : dict of str to tuple of int
        Fields and their shapes.
    heeds_weights : bool
        Whether the sums of a row grow with its weight.
    """

    record: Any
    shapes: dict[str, tuple[int, ...]]
    heeds_weights: bool = True

    @classmethod
    def of(cls, record: Any) -> "Layout":
        shapes = {name: value.shape for name, value in _values(record)}
        if "lower_bound" not in shapes:
            raise TypeError(f"e_step returned {type(record).__name__} without a field `lower_bound`.")
        for name in ("lower_bound", "weight"):
            if shapes.get(name, ()) != ():
                raise TypeError(f"The field `{name}` of the statistics is an array, expected a number.")
        return cls(record, shapes)

    @property
    def size(self) -> int:
        return sum(int(np.prod(shape)) for shape in self.shapes.values())

    def pack(self, record: Any) -> NDArray[np.float64]:
        values = dict(_values(record))
        shapes = {name: value.shape for name, value in values.items()}
        if shapes != self.shapes:
            raise ValueError(
                f"The statistics of two blocks do not add up: their fields have the shapes {self.shapes} and {shapes}."
            )
        return np.concatenate([value.ravel() for value in values.values()])

    def unpack(self, flat: NDArray[np.float64]) -> Any:
        values: dict[str, Any] = {}
        first = 0
        for name, shape in self.shapes.items():
            last = first + int(np.prod(shape))
            values[name] = flat[first:last].reshape(shape) if shape else float(flat[first])
            first = last
        record: Any = self.record
        return record._replace(**values) if hasattr(record, "_replace") else replace(record, **values)


def _values(record: Any) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """The fields of a record and their values."""
    if is_dataclass(record) and not isinstance(record, type):
        names: Iterable[str] = (field.name for field in fields(record))
    elif isinstance(record, tuple) and hasattr(record, "_fields"):
        names = record._fields
    else:
        raise TypeError(f"e_step must return a NamedTuple or a dataclass, not {type(record).__name__}.")
    for name in names:
        value = np.asarray(getattr(record, name))
        if value.dtype.kind not in "biuf":
            raise TypeError(f"The field `{name}` of the statistics is not made of real numbers but of {value.dtype}.")
        yield name, value.astype(np.float64)


def blocks_of(parts: Iterable[Rows]) -> Iterator[Block]:
    """The same rows in blocks of BLOCK_ROWS, however they came: so do the bits of all sums not depend on it."""
    for rows, weights in batches(parts, BLOCK_ROWS):
        yield Block(
            np.array(rows, dtype=np.float64, order="C"),
            np.ones(len(rows)) if weights is None else np.array(weights, dtype=np.float64),
        )


def accumulated(model: Model[Any], layout: Layout, parts: Iterable[Rows]) -> NDArray[np.float64]:
    """The statistics of rows, and then the sum of their weights, (layout.size + 1,)."""
    total = np.zeros(layout.size + 1)
    for block in blocks_of(parts):
        if not layout.heeds_weights and (block.weights != 1.0).any():
            raise ValueError("The data have weights, but e_step does not multiply its sums by `block.weights`.")
        weight = block.weights.sum()  # before the E-step, which may change the block
        total[:-1] += layout.pack(model.e_step(block))
        total[-1] += weight
    return total


def layout_of(model: Model[Any], source: Source) -> Layout:
    """The layout of a model's statistics, from those of one row.

    Raises
    ------
    TypeError
        If the statistics are no record of numbers.
    """
    row = source.sample(1).rows
    layout = Layout.of(model.e_step(Block(row.copy(), np.ones(1))))
    once, twice = layout.pack(layout.record), layout.pack(model.e_step(Block(row.copy(), np.full(1, 2.0))))
    unmoved = (once == twice) & (once != 0) & np.isfinite(once)
    return layout._replace(heeds_weights=not unmoved.any())


class Total(NamedTuple):
    """The statistics of all rows.

    Attributes
    ----------
    statistics : Statistics
        The user's record.
    lower_bound : float
        The bound, with the log-prior if there is one, per unit weight.
    """

    statistics: Any
    lower_bound: float


@dataclass(frozen=True)
class UserModel:
    """A user's model as a model of the EM loop.

    Attributes
    ----------
    model : Model
    layout : Layout
    extrapolated : bool
        Made by SQUAREM, where statistics that are no numbers are no defect but a step too long.
    """

    model: Any
    layout: Layout
    extrapolated: bool = False
    repairs: ClassVar[tuple] = ()

    @property
    def bound_slack(self) -> float:
        return float(getattr(self.model, "bound_slack", 0.0))

    def e_step(self, source: Source) -> Total:
        add_up: Callable[[Iterable[Rows]], np.ndarray] = partial(accumulated, self.model, self.layout)
        flat = source.total(add_up)
        statistics = self.layout.unpack(flat[:-1])
        if not np.isfinite(flat).all():
            if self.extrapolated:
                return Total(statistics, -np.inf)
            wrong = [name for name, value in _values(statistics) if not np.isfinite(value).all()]
            raise ValueError(f"The statistics of e_step are infinite or no numbers: {', '.join(wrong)}.")
        weight = float(getattr(statistics, "weight", flat[-1]))
        if not weight > 0:
            raise ValueError(f"The weight of all rows is {weight:g}, expected a positive number.")
        bound = statistics.lower_bound + float(getattr(self.model, "log_prior", 0.0))
        return Total(statistics, float(bound / weight))

    def m_step(self, total: Total) -> "UserModel":
        model = self.model.m_step(total.statistics)
        check_methods(model, "What m_step returned", ("e_step", "m_step"))
        return UserModel(model, self.layout)

    def flatten(self, reference: "UserModel") -> NDArray[np.float64]:
        return np.asarray(self.model.flatten(reference.model), dtype=np.float64)

    def unflatten(self, coordinates: NDArray[np.float64]) -> "UserModel | None":
        model = self.model.unflatten(coordinates)
        return None if model is None else replace(self, model=model, extrapolated=True)


def digest_of(model: Model[Any]) -> str:
    """What tells one model from another, by its fields."""
    arrays: dict[str, NDArray[Any]] = {}
    digest = blake2b(json.dumps(_packed(model, arrays)).encode(), digest_size=8)
    for array in arrays.values():
        digest.update(array.tobytes())
    return digest.hexdigest()


def modules_of(start: UserModel) -> set[str]:
    """The modules that the classes of a model and of its statistics come from: those that a checkpoint may name."""
    return {name.partition(":")[0] for name in _classes(_packed(start, {}))}


def _packed(model: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    try:
        form = pack(model, arrays)
        local = next((name for name in _classes(form) if "<locals>" in name), None)
        if local is not None:
            raise TypeError(f"the class {local} is known inside a function only")
    except TypeError as error:
        raise TypeError(
            f"A checkpoint holds models that are dataclasses or NamedTuples of numbers, text and arrays: {error}."
        ) from None
    return form


def _classes(form: Any) -> Iterator[str]:
    """The names of the classes in what `pack` returns."""
    parts: Iterable[Any] = form.values() if isinstance(form, dict) else form if isinstance(form, list) else ()
    if isinstance(form, dict) and "class" in form:
        yield form["class"]
    for part in parts:
        yield from _classes(part)


def check_methods(model: Any, who: str, methods: tuple[str, ...]) -> None:
    """Raise a TypeError that names the methods which a model lacks."""
    missing = [f"`{name}`" for name in methods if not callable(getattr(model, name, None))]
    if missing:
        raise TypeError(f"{who}, {type(model).__name__}, has no method {' and no '.join(missing)}.")
