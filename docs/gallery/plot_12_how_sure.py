"""
How sure are the means?
=======================

Standard errors by Louis' formula, from one pass over the rows, beside 200 refits to rows drawn from the fitted mixture.
Ellipses hold 95% if the estimates are normal.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Ellipse

from fastem import GaussianMixture, standard_errors
from fastem.inference import bootstrap

X = np.loadtxt(Path("../../examples/faithful.csv"), delimiter=",", skiprows=1)
mixture = GaussianMixture(2, tol=1e-10, max_iter=1_000, random_state=0).fit(X)
errors = standard_errors(mixture, X)
refits = bootstrap(mixture, X, 200, "parametric", random_state=0)
print("Louis:    ", errors.means.round(3).tolist())
print("bootstrap:", refits.errors.means.round(3).tolist())

# %%
# The covariance of the estimates gives the ellipses.

figure, axes = plt.subplots(1, 2, figsize=(10, 3.8))
for axis, k in zip(axes, np.argsort(mixture.means_[:, 0]), strict=True):
    places = [errors.names.index(f"means[{k}, {j}]") for j in range(2)]
    values, vectors = np.linalg.eigh(errors.covariance[np.ix_(places, places)])
    height, width = 2 * np.sqrt(5.991 * values)
    angle = np.degrees(np.arctan2(*vectors[::-1, 1]))
    drawn = refits.means[:, k]
    axis.scatter(*drawn.T, s=9, color="0.6", label="refits")
    axis.add_patch(Ellipse(mixture.means_[k], width, height, angle=angle, fill=False, color="C0", linewidth=2))
    axis.plot(*mixture.means_[k], "C0+", markersize=14)
    axis.set(title=("short", "long")[int(mixture.means_[k, 0] > 3)] + " eruptions", xlabel="mean minutes")
axes[0].set_ylabel("mean minutes to the next")
plt.show()
