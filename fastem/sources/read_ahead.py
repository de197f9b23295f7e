"""The next piece of data is read while the present one is computed with."""

import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


class _End:
    """The reader has finished, with an error perhaps."""

    def __init__(self, error: BaseException | None = None):
        self.error = error


def read_ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, read by a thread that is one of them ahead.

    An error of the reader is raised where its item would have come. The thread ends with the iteration, however it
    ends.
    """
    ready: SimpleQueue = SimpleQueue()
    asked = threading.Semaphore(0)
    stopped = threading.Event()

    def read() -> None:
        error = None
        try:
            for item in items:
                asked.acquire()
                if stopped.is_set():
                    return
                ready.put(item)
                del item  # the next one takes its place in memory
        except BaseException as caught:  # noqa: BLE001 (raised again in the thread that asked)
            error = caught
        ready.put(_End(error))

    thread = threading.Thread(target=read, name="fastem-read-ahead", daemon=True)
    try:
        thread.start()  # in here: Ctrl-C may come while it starts
        asked.release()
        while not isinstance(item := ready.get(), _End):
            yield item
            del item
            asked.release()
        if item.error is not None:
            raise item.error
    finally:
        stopped.set()
        asked.release()
        if thread.is_alive():
            thread.join()
