"""
Deaths in the Times
===================

On how many days did the London Times announce 0, 1, ..., 9 deaths of women over 80? One Poisson distribution does
not fit, two do (Hasselblad 1969), and EM takes its time: a classic of slow convergence, which SQUAREM cuts short.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import poisson

from fastem import PoissonMixture

days = np.array([162, 267, 271, 185, 111, 61, 27, 8, 3, 1])
deaths = np.arange(10)
rows = deaths[:, np.newaxis]
start = {"weights_init": [0.3, 0.7], "rates_init": [[1.0], [2.5]], "tol": 1e-13, "max_iter": 10_000}
fits = {name: PoissonMixture(2, acceleration=name, **start).fit(rows, sample_weight=days) for name in (None, "squarem")}
mixture = fits["squarem"]
one = poisson.pmf(deaths, np.average(deaths, weights=days))

# %%
# Days and both models; how far from the end after each pass.

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8))
left.bar(deaths, days, color="0.85", label="days")
left.plot(deaths, days.sum() * one, "C1.--", label="one Poisson")
left.plot(deaths, days.sum() * np.exp(mixture.score_samples(rows)), "C0.-", label="two")
left.set(xlabel="deaths", ylabel="days")
left.legend()
for name, fit in fits.items():
    gap = fits[None].log_likelihood_ - np.array(fit.lower_bounds_)
    right.loglog(np.arange(1, len(gap) + 1), np.maximum(gap, 1e-15), label=name or "plain EM")
right.set(xlabel="pass", ylabel="nats per day below the end")
right.legend()
plt.show()
