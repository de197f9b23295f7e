"""
Eight colours
=============

273,280 pixels, eight clusters: `KMeans` gives each pixel the nearest of eight colours.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_image

from fastem import KMeans

image = load_sample_image("china.jpg")
pixels = image.reshape(-1, 3) / 255
kmeans = KMeans(8, random_state=0).fit(pixels)
painted = kmeans.cluster_centers_[kmeans.labels_].reshape(image.shape)

# %%
# The palette, by the share of the pixels.

figure, axes = plt.subplots(1, 2, figsize=(10, 3.6))
for axis, picture, title in zip(axes, (image, painted), ("96,615 colours", "8 colours"), strict=True):
    axis.imshow(picture)
    axis.set_title(title)
    axis.axis("off")
figure, axis = plt.subplots(figsize=(7, 0.9))
left = 0.0
for k in np.argsort(-kmeans.counts_):
    share = kmeans.counts_[k] / len(pixels)
    axis.barh(0, share, left=left, color=np.clip(kmeans.cluster_centers_[k], 0, 1))
    left += share
axis.axis("off")
plt.show()
