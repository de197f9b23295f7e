"""
How many components?
====================

`select` fits one to seven components with four structures of covariance, and compares them by BIC. For Old Faithful the
least is three components of one shape: the short eruptions, and the long ones in two.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from fastem import select
from fastem.plotting import MixtureDisplay

X = np.loadtxt(Path("../../examples/faithful.csv"), delimiter=",", skiprows=1)
X = (X - X.mean(axis=0)) / X.std(axis=0)  # a spherical component needs features of one scale
selection = select(X, range(1, 8), n_init=3, random_state=0)
print(selection.best_estimator_)

# %%
# The criterion of all models, and the best of them.

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2))
selection.plot(left)
least = min(trial.bic for trial in selection.results_)
left.set_ylim(least - 10, least + 140)
MixtureDisplay.from_estimator(selection.best_estimator_, X, ax=right)
plt.show()
