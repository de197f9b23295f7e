"""Where rows come from. A source knows nothing of models: it counts, samples and yields blocks of rows in order."""

from fastem.sources.source import Block, Source, as_source

__all__ = ["Block", "Source", "as_source"]
