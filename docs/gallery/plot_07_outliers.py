"""
Long tails
==========

The mean fractal dimension of 569 tumours and its standard error: most in a narrow cloud, some far out. A Gaussian
widens until it covers them, and a second one is spent on them; Student's t explains them by its tails, whose degrees of
freedom are estimated, and stays where most of the rows are.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer

from fastem import GaussianMixture, StudentTMixture

cancer = load_breast_cancer()
columns = [list(cancer.feature_names).index(name) for name in ("mean fractal dimension", "fractal dimension error")]
X = cancer.data[:, columns] * 1e3
mixtures = {
    "one Gaussian": GaussianMixture(1).fit(X),
    "two Gaussians": GaussianMixture(2, n_init=3, random_state=0).fit(X),
    "one Student's t": StudentTMixture(1, max_iter=1_000).fit(X),
}
print("degrees of freedom:", mixtures["one Student's t"].degrees_of_freedom_.round(1))

# %%
# Contours of the densities, the centres, and the mean log-likelihood of a row.

x, y = np.meshgrid(np.linspace(48, 98, 200), np.linspace(-2, 20, 200))
grid = np.column_stack([x.ravel(), y.ravel()])
figure, axes = plt.subplots(1, 3, figsize=(11, 3.8), sharex=True, sharey=True)
for axis, (name, mixture) in zip(axes, mixtures.items(), strict=True):
    density = np.exp(mixture.score_samples(grid)).reshape(x.shape)
    axis.scatter(*X.T, c=cancer.target, cmap="coolwarm", s=7)
    axis.contour(x, y, density, levels=np.geomspace(3e-6, 0.04, 7), colors="0.4", linewidths=0.8)
    axis.plot(*mixture.means_.T, "k+", markersize=14)
    axis.set_title(f"{name}: {mixture.score(X):.2f} nats")
    axis.set_xlabel("mean fractal dimension (1e-3)")
axes[0].set(ylabel="its standard error (1e-3)", ylim=(-2, 20))
plt.show()
