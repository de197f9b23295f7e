"""`python -m fastem.cli` is `fastem`."""

import sys

from fastem.cli import main

sys.exit(main())
