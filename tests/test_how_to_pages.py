"""The pages on additions say what is so: what they include is there, and the counts are those of the files."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("add_a_*.md"))
INCLUDE = re.compile(r"```\{literalinclude\} (\S+)\n((?::.*\n)*)```")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_includes_is_there(page):
    includes = INCLUDE.findall(page.read_text(encoding="utf-8"))
    assert len(includes) == page.read_text(encoding="utf-8").count("{literalinclude}") > 0
    for name, options in includes:
        text = (page.parent / name).read_text(encoding="utf-8")
        for option, value in re.findall(r":([\w-]+): (.*)", options):
            if option == "pyobject":
                names = {getattr(node, "name", None) for node in ast.parse(text).body}
                assert value in names, f"{name} has no {value}"
            elif option in ("start-at", "end-before"):
                assert value.strip('"') in text, f"{name}: no {value}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_names_is_there(page):
    for path in re.findall(r"`((?:fastem|tests)/\S+)`", page.read_text(encoding="utf-8")):
        assert (ROOT / path).exists(), path


def test_the_files_that_know_the_poisson_mixture():
    own, others = [], []
    for path in sorted((ROOT / "fastem").rglob("*.py")):
        if "poisson" in path.name:
            own.append(path)
        elif "poisson" in path.read_text(encoding="utf-8").lower():
            others.append(path.relative_to(ROOT).as_posix())
    assert others == [
        "fastem/__init__.py",
        "fastem/cli/options.py",
        "fastem/estimators/mixed_mixture.py",
        "fastem/kernels/families/linear.py",
        "fastem/registry.py",
    ]
    page = (ROOT / "docs" / "add_a_family.md").read_text(encoding="utf-8")
    assert f"has {len(own)} files of its own, and {len(others)} others name it" in page


def test_the_files_that_know_a_covariance_structure():
    """No module outside its folder asks for its name."""
    folder = ROOT / "fastem" / "families" / "covariances"
    asking = [
        path
        for path in (ROOT / "fastem").rglob("*.py")
        if not path.is_relative_to(folder) and '"VEE"' in path.read_text(encoding="utf-8")
    ]
    assert not asking
    knowing = {path.name for path in folder.glob("*.py") if "VEE" in path.read_text(encoding="utf-8")}
    assert knowing == {"__init__.py", "decomposed.py"}
