"""Draw what `asv publish` has published: asv's own charts need a network and a browser, this is a picture."""

import json
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("agg")
import matplotlib.pyplot as plt


def series(charts):
    """Each benchmark of a pass on one thread, the commits that were measured, and the values (commits, cases)."""
    index = json.loads((charts / "index.json").read_text(encoding="utf-8"))
    for name, benchmark in index["benchmarks"].items():
        paths = sorted(charts.glob(f"graphs/arch-*/**/{name}.json"))
        if not name.startswith("passes.PassOnOneThread.") or not paths:
            continue
        points = json.loads(paths[0].read_text(encoding="utf-8"))
        revisions = [revision for revision, _ in points]
        values = np.array([row for _, row in points], dtype=float)
        hashes = [index["revision_to_hash"][str(revision)][:7] for revision in revisions]
        yield benchmark, hashes, values


def draw(charts, path):
    """A line for each covariance structure over the commits."""
    figure, axis = plt.subplots(figsize=(9, 4), layout="constrained")
    for benchmark, hashes, values in series(charts):
        labels = [" ".join(parts) for parts in _combinations(benchmark["params"])]
        measured = ~np.isnan(values).all(axis=0)
        for label, column in zip(np.array(labels)[measured], values.T[measured], strict=True):
            axis.plot(range(len(hashes)), column, ".-", label=label.replace("'", ""))
        axis.set_xticks(range(len(hashes)), hashes, rotation=60, fontsize=8, family="monospace")
        axis.set(ylabel=benchmark["unit"], yscale="log", title="one pass, less is better")
    figure.legend(loc="outside lower center", ncols=4, fontsize=8)
    figure.savefig(path)
    plt.close(figure)


def _combinations(parameters):
    if not parameters:
        return [[]]
    return [[first, *rest] for first in parameters[0] for rest in _combinations(parameters[1:])]


def setup(app):
    charts = Path(app.srcdir) / "_charts" / "charts"
    if (charts / "index.json").exists():
        draw(charts, Path(app.srcdir) / "_charts" / "history.svg")
    return {"parallel_read_safe": True}
