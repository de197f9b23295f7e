"""The floors of the house: an import goes down, never up, and Numba stays in the kernels."""

import ast
from pathlib import Path

import pytest

import fastem

PACKAGE = Path(fastem.__file__).parent

# From the top; rooms of one floor do not know each other.
FLOORS = [
    ["cli"],
    ["selection"],
    ["plotting"],
    ["inference"],
    ["em"],
    ["estimators"],
    ["search"],
    ["engine"],
    ["families"],
    ["sources"],
    ["kernels"],
    ["storage", "derivatives"],
    ["registry"],
]
HEIGHT = {room: -level for level, rooms in enumerate(FLOORS) for room in rooms}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def room_of(module):
    """The room of a dotted name inside fastem; None for the front door, `fastem` itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else None


def imports_of(path):
    """The modules that a file imports anywhere: at the top, in functions, for type checkers only."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == "fastem")


def test_every_room_has_a_floor():
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert rooms | {"registry"} == set(HEIGHT)
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py", "registry.py"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_import_goes_up(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for name in imports_of(path):
        if name.split(".")[0] == "fastem" and name != "fastem":
            other = room_of(name)
            assert other in HEIGHT, f"{name}: the public names are for users"
            assert other == own or HEIGHT[other] < HEIGHT[own], f"{name} is above or beside {own}"
        if name.split(".")[0] in ("numba", "llvmlite"):
            assert own == "kernels"


def test_the_engine_knows_no_family():
    for path in PACKAGE.joinpath("engine").glob("*.py"):
        assert not any(name.startswith("fastem.families") for name in imports_of(path))
