"""The code on the pages runs, from top to bottom."""

import shutil
from pathlib import Path

import pytest
from pages import code_of

ROOT = Path(__file__).parent.parent
PAGES = [page for page in sorted((ROOT / "docs").glob("*.md")) if "```python\n" in page.read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_runs(page, tmp_path, monkeypatch):
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    exec(compile(code_of(page.read_text(encoding="utf-8")), str(page), "exec"), {"__name__": "page"})
