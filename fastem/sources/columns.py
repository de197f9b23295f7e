"""Named columns, as each kind of table gives them."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastem.sources.files import File
from fastem.sources.numeric import all_text, checked_names

Run = tuple[list[np.ndarray], str, int]  # columns of some rows, where they are, and the number of their first there


@dataclass(frozen=True)
class Layout:
    """How a text file is laid out; None where the file tells.

    Attributes
    ----------
    separator : str or None
    decimal : str
    header : bool or None
        Whether the first line names the columns.
    """

    separator: str | None = None
    decimal: str = "."
    header: bool | None = None


class Columns(ABC):
    """A table: columns by name, in runs of rows.

    Attributes
    ----------
    name : str
        For messages.
    names : list of str
    features : list of str
        Those that are features unless others are chosen.
    named : bool
        Whether the names are the user's.
    files : list of File
    """

    def __init__(self, name: str, labels: Sequence[Any], files: Sequence[File] = ()):
        self.name, self.names, self.files = name, checked_names(labels, name), list(files)
        self.features, self.named = self.names, all_text(labels)

    def allow_gaps(self) -> None:
        """See `Reader.allow_gaps`."""
        return

    def stamp(self) -> Any:
        return [file.stamp() for file in self.files]

    @abstractmethod
    def read(self, names: list[str], n_rows: int) -> Iterator[Run]:
        """The columns called `names`, of real dtypes, about `n_rows` rows at a time."""

    def leave_out(self, names: Iterable[str]) -> None:
        """Columns that are no features unless they are chosen."""
        self.features = [name for name in self.names if name not in set(names)]


def check_present(where: str, wanted: Iterable[str], known: Sequence[str]) -> None:
    absent = [name for name in wanted if name not in known]
    if absent:
        raise ValueError(f"{where}: no column {', '.join(map(repr, absent))}, the columns are {', '.join(known)}")


def index_of_pandas(metadata: Any) -> list[str]:
    """The columns that pandas stores its index in, from the metadata of an Arrow schema."""
    if not metadata or b"pandas" not in metadata:
        return []
    index = json.loads(metadata[b"pandas"]).get("index_columns", [])
    return [column for column in index if isinstance(column, str)]
