"""
How many components?
====================

BIC over the number of components and the structure of covariances. For Old Faithful the least is three components of
one shape: the short eruptions, and the long ones in two.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from fastem import GaussianMixture

X = np.loadtxt(Path("../../examples/faithful.csv"), delimiter=",", skiprows=1)
X = (X - X.mean(axis=0)) / X.std(axis=0)  # a spherical component needs features of one scale
numbers = range(1, 8)

# %%
# Four structures, seven numbers, five starts each: 140 fits.

figure, axis = plt.subplots()
least = np.inf
for kind in ("full", "tied", "diag", "spherical"):
    fits = [GaussianMixture(k, covariance_type=kind, n_init=5, random_state=0).fit(X) for k in numbers]
    criterion = [fit.bic(X) for fit in fits]
    (line,) = axis.plot(numbers, criterion, ".-", label=kind)
    best = int(np.argmin(criterion))
    least = min(least, criterion[best])
    axis.plot(numbers[best], criterion[best], "o", color=line.get_color(), markersize=9, fillstyle="none")
axis.set(xlabel="components", ylabel="BIC (less is better)", ylim=(least - 10, least + 160))
axis.legend()
plt.show()
