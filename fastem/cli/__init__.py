"""The command line."""

import sys
from collections.abc import Sequence
from importlib.util import find_spec

REQUIRED = ("click", "rich")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; `arguments` are those of the process unless given."""
    missing = [package for package in REQUIRED if find_spec(package) is None]
    if missing:
        needed = ", ".join(missing)
        print(f'fastem: error: the command line needs {needed}: pip install "fastem[cli]"', file=sys.stderr)
        return 2
    from fastem.cli.commands import run

    return run(sys.argv[1:] if arguments is None else arguments)
