"""The page on adding a source shows files that exist, and says of them what is so."""

import importlib
import re
from pathlib import Path

from fastem.sources import formats

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "add_a_source.md").read_text(encoding="utf-8")


def test_what_the_page_includes_is_there():
    included = re.findall(r"\{literalinclude\} (\S+)", PAGE)
    assert included
    assert all((ROOT / "docs" / path).is_file() for path in included)
    for marker in re.findall(r":(?:start-at|end-before): (.+)", PAGE):
        assert (ROOT / "fastem" / "sources" / "formats.py").read_text(encoding="utf-8").count(marker) == 1


def test_what_the_page_names_is_there():
    files = [path for folder in ("fastem/sources", "tests", "tests/sources") for path in (ROOT / folder).glob("*.py")]
    for name in re.findall(r"`(?:tests/)?(?:sources/)?(\w+\.py)`", PAGE):
        assert name in {path.name for path in files}


def test_each_format_is_a_module_with_one_door():
    for module in {*formats.ARRAYS.values(), *formats.TABLES.values()}:
        assert callable(importlib.import_module(f"fastem.sources.{module}").opened)
