"""
Covariance structures
=====================

Petals and sepals of three species of iris, three components, and what their covariances may be: each its own matrix,
one for all, variances only, one variance each. Ellipses hold 90% of a component; crosses are rows of another species
than most of their component.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Ellipse
from scipy.optimize import linear_sum_assignment
from sklearn.datasets import load_iris
from sklearn.metrics import confusion_matrix

from fastem import GaussianMixture

iris = load_iris()
X, species = iris.data, iris.target
shown = [0, 2]  # lengths of sepal and petal


def as_matrices(mixture):
    """The covariances of any structure as matrices (K, D, D)."""
    values, (k, d) = mixture.covariances_, mixture.means_.shape
    return {
        "full": lambda: values,
        "tied": lambda: np.broadcast_to(values, (k, d, d)),
        "diag": lambda: np.stack([np.diag(v) for v in values]),
        "spherical": lambda: np.stack([v * np.eye(d) for v in values]),
    }[mixture.covariance_type]()


def ellipse(mean, covariance, **options):
    values, vectors = np.linalg.eigh(covariance)
    angle = np.degrees(np.arctan2(*vectors[::-1, 1]))
    height, width = 2 * np.sqrt(4.605 * values)  # 90% of a chi-squared with two degrees of freedom
    return Ellipse(mean, width, height, angle=angle, **options)


# %%
# The same start for all four would be the species; the search does without.

figure, axes = plt.subplots(2, 2, figsize=(8, 6.4), sharex=True, sharey=True)
for axis, kind in zip(axes.flat, ("full", "tied", "diag", "spherical"), strict=True):
    mixture = GaussianMixture(3, covariance_type=kind, n_init=5, random_state=0).fit(X)
    labels = mixture.predict(X)
    names = linear_sum_assignment(-confusion_matrix(labels, species))[1]
    wrong = names[labels] != species
    for k in range(3):
        colour = f"C{names[k]}"
        axis.scatter(*X[(labels == k) & ~wrong][:, shown].T, color=colour, s=12)
        axis.scatter(*X[(labels == k) & wrong][:, shown].T, color=colour, s=30, marker="x")
        covariance = as_matrices(mixture)[k][np.ix_(shown, shown)]
        axis.add_patch(ellipse(mixture.means_[k, shown], covariance, color=colour, fill=False))
    axis.set_title(f"{kind}: {wrong.sum()} of 150 elsewhere, BIC {mixture.bic(X):.0f}")
figure.supxlabel("length of sepal (cm)")
figure.supylabel("length of petal (cm)")
plt.show()
