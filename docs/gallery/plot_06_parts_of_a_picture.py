"""
A flower and what is behind it
==============================

The pixels of a photograph as a mixture of four Gaussians in colour space, fitted to all 273,280 of them: the
probability of each component is a mask with soft edges.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_image

from fastem import GaussianMixture

image = load_sample_image("flower.jpg")
pixels = image.reshape(-1, 3) / 255
mixture = GaussianMixture(4, random_state=0).fit(pixels)
probabilities = mixture.predict_proba(pixels).reshape(*image.shape[:2], -1)
print(mixture.n_passes_, "passes over the pixels")

# %%
# Components from the most frequent to the rarest.

figure, axes = plt.subplots(1, 5, figsize=(11, 2))
axes[0].imshow(image)
axes[0].set_title("photograph")
for axis, k in zip(axes[1:], np.argsort(-mixture.weights_), strict=True):
    axis.imshow(probabilities[..., k], cmap="gray", vmin=0, vmax=1)
    axis.set_title(f"{mixture.weights_[k]:.0%}")
for axis in axes:
    axis.axis("off")
plt.show()
