"""
Ways to write a digit
=====================

1,797 handwritten digits of 8 x 8 pixels, black or white: a mixture of 24 Bernoulli profiles, which knows no labels.
Each picture is the probability of ink.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from fastem import BernoulliMixture

digits = load_digits()
X = (digits.data > 7).astype(float)
mixture = BernoulliMixture(24, pseudo_count=0.5, n_init=3, random_state=0).fit(X)
labels = mixture.predict(X)
commonest = [np.bincount(digits.target[labels == k], minlength=10) for k in range(24)]

# %%
# Sorted by the digit that most rows of a component show, with their share.

figure, axes = plt.subplots(3, 8, figsize=(9, 4.1))
for axis, k in zip(axes.flat, np.argsort([counts.argmax() for counts in commonest], kind="stable"), strict=True):
    axis.imshow(mixture.probabilities_[k].reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
    counts = commonest[k]
    axis.set_title(f"{counts.argmax()}: {counts.max() / counts.sum():.0%}", fontsize=9)
    axis.axis("off")
plt.show()
