"""Where rows come from. A source knows nothing of models: it counts, samples and yields blocks of rows in order."""

from fastem.sources.dispatch import as_source, opened
from fastem.sources.source import Block, Source, Write

__all__ = ["Block", "Source", "Write", "as_source", "opened"]
