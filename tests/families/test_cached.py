"""Properties that are computed once, by any number of threads."""

import ast
import threading
from pathlib import Path

import fastem
from fastem.families.cached import cached_property


class Slow:
    def __init__(self, gate=None):
        self.gate, self.inside, self.calls = gate, threading.Event(), 0

    @cached_property
    def value(self):
        """Of the gate."""
        self.calls += 1
        self.inside.set()
        return self.gate is None or self.gate.wait(10)


def test_it_is_computed_once():
    slow = Slow()
    assert slow.value is True
    assert slow.value is True
    assert slow.calls == 1
    assert Slow.value.__doc__ == "Of the gate."


def test_objects_do_not_wait_for_each_other():
    gate, others = threading.Event(), []
    slow, quick = Slow(gate), Slow()
    first = threading.Thread(target=lambda: slow.value)
    second = threading.Thread(target=lambda: others.append(quick.value))
    first.start()
    assert slow.inside.wait(10)
    second.start()
    second.join(10)
    assert others == [True]
    gate.set()
    first.join()


def test_nobody_uses_the_one_with_a_lock():
    for path in Path(fastem.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "functools":
                assert "cached_property" not in [alias.name for alias in node.names], path
