"""A fitted mixture at a glance, as text and as HTML."""

from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

MOST_COLUMNS = 6  # of the parameters of a component that text shows
MOST_COMPONENTS = 20


@dataclass(frozen=True)
class Summary:
    """What is known of a fitted mixture; `print` it, or let a notebook show it.

    Attributes
    ----------
    title : str
    headings : tuple of str
        Of the columns of `components` after the first two.
    components : list of tuple of float
        Weight and location of each component.
    facts : dict of str to str
    """

    title: str
    headings: tuple[str, ...]
    components: list[tuple[float, ...]]
    facts: dict[str, str]

    def rows(self, n_columns: int) -> list[list[str]]:
        """A line of numbers for each component, with at most so many columns of its location."""
        return [
            [str(k), f"{weight:.6f}", *(f"{value:.6g}" for value in location[:n_columns])]
            for k, (weight, *location) in enumerate(self.components)
        ]

    def __str__(self) -> str:
        table = [["component", "weight", *self.headings[:MOST_COLUMNS]], *self.rows(MOST_COLUMNS)[:MOST_COMPONENTS]]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
        left_out = [
            f"... and {n} more {what}"
            for n, what in (
                (len(self.components) - MOST_COMPONENTS, "components"),
                (len(self.headings) - MOST_COLUMNS, "columns"),
            )
            if n > 0
        ]
        width = max(map(len, self.facts), default=0)
        facts = [f"{name.ljust(width)}  {value}" for name, value in self.facts.items()]
        return "\n".join([self.title, "", *lines, *left_out, "", *facts])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        def cells(tag: str, values: list[str]) -> str:
            return "".join(f'<{tag} style="text-align:right">{escape(value)}</{tag}>' for value in values)

        head = cells("th", ["component", "weight", *self.headings[:MOST_COLUMNS]])
        body = "".join(f"<tr>{cells('td', row)}</tr>" for row in self.rows(MOST_COLUMNS)[:MOST_COMPONENTS])
        facts = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th><td>{escape(value)}</td></tr>"
            for name, value in self.facts.items()
        )
        return (
            f"<div><b>{escape(self.title)}</b><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
            f"<table>{facts}</table></div>"
        )


def summary_of(estimator: Any) -> Summary:
    """The summary of a fitted mixture of any family."""
    check_is_fitted(estimator)
    locations, headings = _locations(estimator)
    components = [
        (float(weight), *map(float, location)) for weight, location in zip(estimator.weights_, locations, strict=True)
    ]
    return Summary(type(estimator).__name__, headings, components, _facts(estimator))


def _locations(estimator: Any) -> tuple[np.ndarray, tuple[str, ...]]:
    """What tells where a component is (K, C): means, rates or probabilities, and the names of the columns."""
    n_features = estimator.n_features_in_
    names = [str(name) for name in getattr(estimator, "feature_names_in_", range(n_features))]
    if hasattr(estimator, "estimators_"):  # of blocks of columns
        parts = [_locations(part) for part in estimator.estimators_]
        return np.hstack([found for found, _ in parts]), tuple(name for _, own in parts for name in own)
    for attribute in ("means_", "rates_", "probabilities_"):
        found = getattr(estimator, attribute, None)
        if isinstance(found, np.ndarray):
            return found, tuple(names)
        if found is not None:  # a table for each column of levels
            headings = [
                f"{name}={level}" for name, table in zip(names, found, strict=True) for level in range(len(table.T))
            ]
            return np.hstack(found), tuple(headings)
    raise TypeError(f"A {type(estimator).__name__} has no summary.")


def _facts(estimator: Any) -> dict[str, str]:
    total = getattr(estimator, "n_samples_seen_", 0.0)
    facts = {"covariance": estimator.covariance_type} if hasattr(estimator, "covariance_type") else {}
    if hasattr(estimator, "noise_weight_"):
        facts["noise"] = f"{estimator.noise_weight_:.6f}"
    if total:
        facts["rows"] = f"{total:.10g}"
    if hasattr(estimator, "log_likelihood_"):
        facts["log-likelihood"] = f"{estimator.log_likelihood_ * total:.10g}"
        facts["log-likelihood per row"] = f"{estimator.log_likelihood_:.6g}"
    if hasattr(estimator, "n_parameters_"):
        facts["parameters"] = f"{estimator.n_parameters_}"
        if hasattr(estimator, "log_likelihood_"):
            deviance = -2.0 * estimator.log_likelihood_ * total
            facts["BIC"] = f"{deviance + estimator.n_parameters_ * np.log(total):.10g}"
            facts["AIC"] = f"{deviance + 2.0 * estimator.n_parameters_:.10g}"
    elif np.isfinite(estimator.lower_bound_):
        facts["lower bound"] = f"{estimator.lower_bound_:.10g}"
    facts["iterations"] = f"{estimator.n_iter_}"
    facts["converged"] = "yes" if estimator.converged_ else "no"
    return facts
