"""Give the installed package's files the age of their commit: Numba keeps machine code as long as the file is as old.

asv installs a commit anew in each of its rounds; without this, every round would compile every kernel again.
"""

import os
import sysconfig
from pathlib import Path

age = int(os.environ["ASV_COMMIT"][:7], 16)
for path in (Path(sysconfig.get_path("purelib")) / "fastem").rglob("*.py"):
    os.utime(path, (age, age))
