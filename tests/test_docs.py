"""The code on the pages runs, from top to bottom, and so do the examples of docstrings."""

import doctest
import inspect
import re
import shutil
from pathlib import Path

import pytest
from pages import code_of

import fastem

ROOT = Path(__file__).parent.parent
PAGES = [page for page in sorted((ROOT / "docs").glob("*.md")) if "```python\n" in page.read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_runs(page, tmp_path, monkeypatch):
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    exec(compile(code_of(page.read_text(encoding="utf-8")), str(page), "exec"), {"__name__": "page"})


@pytest.mark.parametrize("name", [name for name in fastem.__all__ if callable(getattr(fastem, name))])
def test_the_examples_of_a_docstring_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    thing = getattr(fastem, name)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    for example in doctest.DocTestFinder().find(thing, name, module=inspect.getmodule(thing)):
        assert runner.run(example).failed == 0, example.name


def test_the_version_is_everywhere_the_same():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    latest, date = re.findall(r"^## \[([\d.]+)\] - ([\d-]+)$", changelog, re.MULTILINE)[0]
    assert latest == fastem.__version__
    assert f'version: {latest}\ndate-released: "{date}"' in citation
