"""
What to expect, given what is known
===================================

A fitted mixture answers any question about its features: here the wait after an eruption that took so long. The mean of
the conditional mixture is a curve; its whole density shows when there are two answers.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from fastem import GaussianMixture

X = np.loadtxt(Path("../../examples/faithful.csv"), delimiter=",", skiprows=1)
mixture = GaussianMixture(2, random_state=0).fit(X)
minutes = np.linspace(1.4, 5.3, 120)
mean, variance = mixture.regress(minutes[:, np.newaxis], targets=[1], return_cov=True)
spread = np.sqrt(variance.reshape(len(minutes), -1)[:, 0])

# %%
# E[wait | eruption] with one standard deviation, and three slices of the density.

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8))
left.scatter(*X.T, color="0.7", s=10)
left.fill_between(minutes, mean[:, 0] - spread, mean[:, 0] + spread, alpha=0.25)
left.plot(minutes, mean[:, 0])
left.set(xlabel="minutes of the eruption", ylabel="minutes to the next")
waits = np.linspace(35, 105, 300)
for known in (2.0, 3.0, 4.5):
    slice_ = mixture.condition({0: known})
    right.plot(waits, np.exp(slice_.score_samples(waits[:, np.newaxis])), label=f"after {known:g} minutes")
right.set(xlabel="minutes to the next", ylabel="density")
right.legend()
plt.show()
