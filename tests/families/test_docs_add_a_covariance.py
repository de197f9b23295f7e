"""The page on adding a covariance structure shows what exists."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "add_a_covariance.md").read_text(encoding="utf-8")


def test_what_the_page_includes_is_there():
    included = re.findall(r"\{literalinclude\} (\S+)\n((?::.*\n)*)", PAGE)
    assert len(included) > 4
    for path, options in included:
        text = (ROOT / "docs" / path).read_text(encoding="utf-8")
        for name in re.findall(r":pyobject: (\w+)", options):
            assert name in {node.name for node in ast.parse(text).body if isinstance(node, ast.ClassDef)}
        for marker in re.findall(r":(?:start-at|end-before): (.+)", options):
            assert text.count(marker) == 1


def test_what_the_page_names_is_there():
    for path in re.findall(r"`((?:fastem|tests)/\S+)`", PAGE):
        assert (ROOT / path).exists()
