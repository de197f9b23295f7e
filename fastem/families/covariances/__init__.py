"""What a covariance matrix may look like: `STRUCTURES` finds a structure by the name that users give it.

A structure is a class: what its arrays are (`forms`), the kernel that reads them, and the M-step (`own`: a covariance
for each component; `shared`: one for all).
"""

from typing import Literal, TypeAlias

from fastem.families.covariances.decomposed import EEV, EVE, EVI, EVV, VEE, VEI, VEV, VVE
from fastem.families.covariances.own import Diag, Full, Spherical
from fastem.families.covariances.shared import EEE, EEI, EII, Tied
from fastem.families.covariances.structure import EPSILON, TINY, CovarianceStructure, Moments, Scatter

# fmt: off
CovarianceType: TypeAlias = Literal[
    "full", "tied", "diag", "spherical",
    "EII", "VII", "EEI", "VEI", "EVI", "VVI", "EEE", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV", "VVV",
]
# fmt: on
FULL, DIAG, SPHERICAL = Full(), Diag(), Spherical()
STRUCTURES: dict[str, CovarianceStructure] = {  # a row each, and its name above for type checkers
    "full": FULL,
    "tied": Tied(),
    "diag": DIAG,
    "spherical": SPHERICAL,
    # The names of mclust: volume, shape and orientation are equal (E), variable (V), or none (I).
    "EII": EII(),
    "VII": SPHERICAL,
    "EEI": EEI(),
    "VEI": VEI(),
    "EVI": EVI(),
    "VVI": DIAG,
    "EEE": EEE(),
    "VEE": VEE(),
    "EVE": EVE(),
    "VVE": VVE(),
    "EEV": EEV(),
    "VEV": VEV(),
    "EVV": EVV(),
    "VVV": FULL,
}


def names_with(capability: str) -> list[str]:
    """The names of the structures that declare a capability of `CovarianceStructure`."""
    return [name for name, structure in STRUCTURES.items() if getattr(structure, capability)]


__all__ = ["EPSILON", "STRUCTURES", "TINY", "CovarianceStructure", "CovarianceType", "Moments", "Scatter", "names_with"]
