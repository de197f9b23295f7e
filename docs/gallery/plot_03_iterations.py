"""
EM, step by step
================

From a poor start on Old Faithful: the components after 0, 2, 5, 10 and 20 iterations, and the log-likelihood, which
never falls. The same iterations as scikit-learn's, from the same start.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from fastem import GaussianMixture

X = np.loadtxt(Path("../../examples/faithful.csv"), delimiter=",", skiprows=1)
X = (X - X.mean(axis=0)) / X.std(axis=0)
start = {
    "weights_init": [0.5, 0.5],
    "means_init": [[-1.2, 1.6], [1.4, -1.6]],
    "precisions_init": [np.eye(2) * 2, np.eye(2) * 2],
}

# %%
# Responsibilities as colours.

figure, axes = plt.subplots(1, 5, figsize=(11, 2.7), sharex=True, sharey=True)
for axis, iterations in zip(axes, (0, 2, 5, 10, 20), strict=True):
    mixture = GaussianMixture(2, tol=0.0, max_iter=iterations, **start).fit(X)
    axis.scatter(*X.T, c=mixture.predict_proba(X)[:, 0], cmap="coolwarm_r", s=8, vmin=0, vmax=1)
    axis.plot(*mixture.means_.T, "k+", markersize=12)
    axis.set_title(f"{iterations} iterations", fontsize=10)
plt.show()

# %%
# The gain of an iteration, and what SQUAREM makes of the last part.

figure, axis = plt.subplots(figsize=(7, 3))
for acceleration in (None, "squarem"):
    mixture = GaussianMixture(2, tol=1e-12, max_iter=500, acceleration=acceleration, **start).fit(X)
    best = mixture.log_likelihood_
    axis.semilogy(np.maximum(best - np.array(mixture.lower_bounds_), 1e-13), ".-", label=acceleration or "plain EM")
axis.set(xlabel="iteration", ylabel="nats per row below the end")
axis.legend()
plt.show()
