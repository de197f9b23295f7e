"""Benchmarks of fastem for airspeed velocity."""

import os

# Read when NumPy loads OpenBLAS. Whoever set them to save memory or to imitate an older machine would handicap the
# yardstick, and scikit-learn.
for _name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(_name, None)
