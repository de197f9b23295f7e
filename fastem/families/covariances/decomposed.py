"""Structures that hold volumes, shapes or orientations equal: Sigma_k = lambda_k Q_k A_k Q_k^T (see `spectra`).

They have the kernel and the moments of the structure that leaves everything free; the M-step ends with the covariances
of that structure, `constrained` takes them to this one. From one iteration to the next the covariances themselves carry
shape and axes.
"""

from fastem.families.covariances import spectra
from fastem.families.covariances.coordinates import Coordinates
from fastem.families.covariances.own import Diag, Full
from fastem.families.covariances.structure import CovarianceStructure


class Decomposed(CovarianceStructure):
    """What a constraint takes from the structure that has none."""

    coordinates: Coordinates | None = None
    constrains = True
    bayesian = False
    student_t = True
    volumes_and_shapes: spectra.Spectra  # from variances along the axes


class VEI(Decomposed, Diag):
    """Volumes times one shape, axes of the features."""

    name = parts = "VEI"
    volumes_and_shapes = staticmethod(spectra.equal_shape)

    def constrained(self, covariances, shares, previous):
        return self.volumes_and_shapes(covariances, shares, previous[0])


class EVI(VEI):
    """One volume, a shape for each component, axes of the features."""

    name = parts = "EVI"
    volumes_and_shapes = staticmethod(spectra.equal_volume)
    of_some_features = "VVI"


class VEE(Decomposed, Full):
    """Volumes times one matrix."""

    name = parts = "VEE"

    def constrained(self, covariances, shares, previous):
        return spectra.proportional(covariances, shares, previous[0], self.whiten)


class EVV(Decomposed, Full):
    """Matrices of one volume."""

    name = parts = "EVV"
    of_some_features = "VVV"

    def constrained(self, covariances, shares, previous):
        return spectra.equal_volume_of_matrices(covariances, shares)


class Rotated(Decomposed, Full):
    """Spectra along axes that are no features: what is small against the greatest variance is rounding."""

    of_some_features = "VVV"

    def whiten(self, covariances):
        whiteners, singular = super().whiten(covariances)
        return whiteners, singular | spectra.unresolved(covariances)


class EEV(Rotated):
    """One volume and shape, axes for each component: the best are those of its rows, in the order of the variances."""

    name = parts = "EEV"
    volumes_and_shapes = staticmethod(spectra.equal)

    def constrained(self, covariances, shares, previous):
        variances, axes = spectra.own_axes(covariances)
        shape = spectra.own_axes(previous[:1])[0][0]
        return spectra.rotated(self.volumes_and_shapes(variances, shares, shape), axes)


class VEV(EEV):
    """Volumes times one shape, axes for each component."""

    name = parts = "VEV"
    volumes_and_shapes = staticmethod(spectra.equal_shape)


class EVE(Rotated):
    """One volume, a shape for each component, common axes."""

    name = parts = "EVE"
    volumes_and_shapes = staticmethod(spectra.equal_volume)

    def constrained(self, covariances, shares, previous):
        axes = spectra.fitted_axes(covariances, shares, spectra.common_axes(previous), self.volumes_and_shapes)
        variances = spectra.variances_along(covariances, axes)
        return spectra.rotated(self.volumes_and_shapes(variances, shares, variances[0]), axes)


class VVE(EVE):
    """Common axes."""

    name = parts = "VVE"
    volumes_and_shapes = staticmethod(spectra.free)
