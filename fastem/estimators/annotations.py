"""The types of what users give and get."""

from collections.abc import Callable
from os import PathLike
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastem.families.covariances import CovarianceType as CovarianceType
from fastem.sources.array_files import ArrayFile
from fastem.sources.reader import Reader
from fastem.sources.tables import Table

Data: TypeAlias = ArrayLike | PathLike[str] | Table | ArrayFile | Reader  # data frames, too: they have `__array__`
Seed: TypeAlias = int | np.random.RandomState | None
Start: TypeAlias = Literal["kmeans", "k-means++", "random", "random_from_data"] | ArrayLike | Callable[..., Any]
Features: TypeAlias = int | str | list[int] | list[str]

Labels: TypeAlias = NDArray[np.int64]
Doubles: TypeAlias = NDArray[np.float64]
Reals: TypeAlias = NDArray[np.float64] | NDArray[np.float32]  # single precision where the rows have it
