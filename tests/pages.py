"""The code on a page of the documentation."""


def code_of(text):
    """The Python blocks of a page on their own lines, so that errors name the line of the page."""
    lines, inside = [], False
    for line in text.splitlines():
        inside = line == "```python" or (inside and line != "```")
        lines.append(line if inside and line != "```python" else "")
    return "\n".join(lines)
