"""The next piece is read while the present one is computed with, by a thread that ends with the iteration."""

import os
import signal
import threading
import time

import numpy as np
import pytest

from fastem import Chunks, GaussianMixture
from fastem.sources.read_ahead import read_ahead


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "fastem-read-ahead"]


def test_order_is_kept():
    assert list(read_ahead(iter(range(100)))) == list(range(100))
    assert not threads()


def test_a_reader_that_nobody_wants_ends():
    items = read_ahead(iter(range(10**9)))
    assert next(items) == 0
    assert len(threads()) == 1
    items.close()
    assert not threads()


def test_one_item_is_read_ahead_and_no_more():
    read = []

    def numbers():
        for number in range(10):
            read.append(number)
            yield number

    for item in read_ahead(numbers()):
        end = time.monotonic() + 5
        while len(read) < min(item + 2, 10) and time.monotonic() < end:
            time.sleep(0.001)
        assert len(read) == min(item + 2, 10)


def test_errors_come_where_their_item_would_have():
    def numbers():
        yield 1
        raise OSError("disk on fire")

    items = read_ahead(numbers())
    assert next(items) == 1
    with pytest.raises(OSError, match="disk on fire"):
        next(items)
    assert not threads()


def test_no_thread_survives_a_failed_fit():
    with pytest.raises(ValueError, match="NaN"):
        GaussianMixture(1).fit(Chunks(lambda: [np.ones((1, 2)), [[np.nan, 1]], np.ones((1, 2))], n_features=2))
    assert not threads()


@pytest.fixture
def heard():
    """Ctrl-C interrupts, also in a process that was started in the background, where it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.usefixtures("heard")
def test_no_thread_survives_ctrl_c_while_it_starts(monkeypatch, moment):
    start = threading.Thread.start

    def interrupted(self):
        if moment == "before":
            signal.raise_signal(signal.SIGINT)
        start(self)
        signal.raise_signal(signal.SIGINT)

    items = read_ahead(iter(range(10**9)))
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            next(items)
    assert not threads()
