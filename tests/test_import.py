"""`import fastem` is cheap and its public names are there."""

import os
import subprocess
import sys
import threading
import time

import pytest

import fastem
from fastem.registry import ESTIMATORS

HEAVY = ("numpy", "numba", "scipy", "sklearn", "click", "rich", "safetensors")


def test_import_brings_in_nothing_heavy():
    code = f"import sys, fastem; dir(fastem); print([m for m in {HEAVY} if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_public_names_resolve_and_are_listed():
    for name in fastem.__all__:
        assert getattr(fastem, name) is getattr(fastem, name)
        assert name in dir(fastem)


def test_every_estimator_is_public():
    for name in ESTIMATORS:
        assert name in fastem.__all__
        assert getattr(fastem, name).__name__ == name


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        fastem.nonsense  # noqa: B018


FIRST_USE = """
import threading, fastem
from fastem.registry import ESTIMATORS
gate, errors = threading.Barrier(len(ESTIMATORS)), []
def first_use(name):
    gate.wait()
    try:
        getattr(fastem, name)
    except BaseException as error:
        errors.append(f"{name}: {error!r}")
threads = [threading.Thread(target=first_use, args=(name,)) for name in ESTIMATORS]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(errors)
"""


def test_threads_may_begin_with_different_estimators():
    answer = subprocess.run([sys.executable, "-c", FIRST_USE], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_while_another_thread_imports_can_import():
    inside = threading.Event()

    def importing():
        with fastem._loading:
            inside.set()
            time.sleep(0.2)

    thread = threading.Thread(target=importing)
    thread.start()
    inside.wait()
    child = os.fork()
    if not child:
        os._exit(not fastem._loading.acquire(timeout=5))
    assert os.waitpid(child, 0)[1] == 0
    thread.join()
