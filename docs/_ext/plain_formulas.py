"""Docstrings write formulas as plain text: keep reStructuredText from taking `|x|^2` and `weights_` for markup."""

import re

LITERAL = re.compile(r"(``.*?``|`[^`]*`|:\w+:`[^`]*`)")
NAME_WITH_UNDERSCORE = re.compile(r"(?<=\w)_(?=\W|$)")


def escaped(line):
    """The line with every bar and every underscore at the end of a word escaped, but for those in backquotes."""
    if line.lstrip().startswith((">>>", "...", ".. ", ":")):
        return line
    parts = LITERAL.split(line)
    parts[::2] = [NAME_WITH_UNDERSCORE.sub(r"\\_", part.replace("|", r"\|")) for part in parts[::2]]
    return "".join(parts)


def process(_app, _what, _name, _object, _options, lines):
    lines[:] = map(escaped, lines)


def setup(app):
    app.connect("autodoc-process-docstring", process, priority=100)  # before numpydoc, which adds markup of its own
    return {"parallel_read_safe": True}
