"""Where rows come from. A source knows nothing of models: it counts, samples and yields blocks of rows in order."""

from fastem.sources.dispatch import as_source, reader_of
from fastem.sources.source import Block, Source

__all__ = ["Block", "Source", "as_source", "reader_of"]
