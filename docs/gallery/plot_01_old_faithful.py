"""
Two kinds of eruptions
======================

Old Faithful's eruptions are short or long, and the wait that follows goes with them. A mixture of two Gaussians finds
the two kinds; colours are the responsibilities, lines the density.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from fastem import GaussianMixture

X = np.loadtxt(Path("../../examples/faithful.csv"), delimiter=",", skiprows=1)
mixture = GaussianMixture(2, random_state=0).fit(X)

# %%
# The density over a grid, and the probability of the long kind for each row.

x, y = np.meshgrid(np.linspace(1.3, 5.4, 200), np.linspace(40, 100, 200))
density = np.exp(mixture.score_samples(np.column_stack([x.ravel(), y.ravel()]))).reshape(x.shape)
long = mixture.predict_proba(X)[:, np.argmax(mixture.means_[:, 0])]

figure, axis = plt.subplots()
axis.contour(x, y, density, levels=np.geomspace(1e-4, density.max(), 9), colors="0.6", linewidths=0.8)
points = axis.scatter(*X.T, c=long, cmap="coolwarm", s=16)
axis.plot(*mixture.means_.T, "k+", markersize=14)
axis.set(xlabel="minutes of the eruption", ylabel="minutes to the next")
figure.colorbar(points, label="probability of the long kind")
plt.show()
