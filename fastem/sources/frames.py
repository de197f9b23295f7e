"""Data frames in memory, of every library, and data sets of Arrow."""

from collections.abc import Iterator
from typing import Any

from fastem.sources.columns import Columns, Run, index_of_pandas
from fastem.sources.numeric import as_frame, name_of, numbers_of


def frame_columns(data: Any) -> Columns:
    """The columns of a data frame or data set.

    Raises
    ------
    TypeError
        If `data` is neither.
    """
    if is_data_set(data):
        return DataSet(data)
    frame = as_frame(data)
    if frame is None:
        raise TypeError(f"Expected paths or a data frame, got a {type(data).__name__}.")
    return Frame(frame, name_of(data))


def is_data_set(data: Any) -> bool:
    return type(data).__module__.startswith("pyarrow") and hasattr(data, "scanner")


class Frame(Columns):
    """A frame of narwhals."""

    def __init__(self, frame: Any, name: str):
        super().__init__(name, frame.columns)
        self.frame = frame
        self.leave_out(index_of_pandas(getattr(getattr(frame.to_native(), "schema", None), "metadata", None)))

    def read(self, names: list[str], n_rows: int) -> Iterator[Run]:
        numbers = [self.names.index(name) for name in names]
        for first in range(0, len(self.frame), n_rows):
            part = self.frame[first : first + n_rows]
            columns = [numbers_of(part[:, j], name, self.name) for j, name in zip(numbers, names, strict=True)]
            yield columns, self.name, first


class DataSet(Columns):
    """A data set of pyarrow, scanned anew in every pass."""

    def __init__(self, data: Any):
        super().__init__(name_of(data), data.schema.names)
        self.data = data
        self.leave_out(index_of_pandas(data.schema.metadata))

    def read(self, names: list[str], n_rows: int) -> Iterator[Run]:
        first = 0
        for batch in self.data.to_batches(columns=names, batch_size=n_rows, batch_readahead=1, fragment_readahead=1):
            if batch.num_rows:
                yield columns_of_batch(batch, names, self.name), self.name, first
            first += batch.num_rows


def columns_of_batch(batch: Any, names: list[str], where: str) -> list[Any]:
    """Columns of a batch of Arrow as numbers."""
    frame = as_frame(batch)
    return [numbers_of(frame[name], name, where) for name in names]
