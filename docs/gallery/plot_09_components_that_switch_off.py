"""
Components that switch themselves off
=====================================

Ten components for Old Faithful, with a prior on their weights: the smaller its concentration, the fewer are used.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from fastem import BayesianGaussianMixture

X = np.loadtxt(Path("../../examples/faithful.csv"), delimiter=",", skiprows=1)
X = (X - X.mean(axis=0)) / X.std(axis=0)
priors = (1e-3, 10.0, 1e3)

# %%
# Weights of the components, and rows by component.

figure, axes = plt.subplots(2, 3, figsize=(10, 5), height_ratios=[1, 1.6])
for (top, bottom), prior in zip(axes.T, priors, strict=True):
    mixture = BayesianGaussianMixture(
        n_components=10,
        weight_concentration_prior_type="dirichlet_distribution",
        weight_concentration_prior=prior,
        max_iter=5_000,
        tol=1e-4,
        random_state=0,
    ).fit(X)
    order = np.argsort(-mixture.weights_)
    rank = np.argsort(order)
    top.bar(range(10), mixture.weights_[order], color=[f"C{i}" for i in range(10)])
    top.set(title=f"concentration {prior:g}", ylim=(0, 0.7), xticks=[])
    bottom.scatter(*X.T, c=[f"C{i}" for i in rank[mixture.predict(X)]], s=9)
axes[0, 0].set_ylabel("weight")
axes[1, 0].set_ylabel("minutes to the next (standardised)")
plt.show()
