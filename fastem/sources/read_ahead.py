"""The next piece of data is read while the present one is computed with."""

import queue
import threading
from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")

WAIT = 0.1  # seconds between two looks at whether anybody still wants the rest


class _End:
    """The reader has finished, with an error perhaps."""

    def __init__(self, error: BaseException | None = None):
        self.error = error


def read_ahead(items: Iterator[T], depth: int = 1) -> Iterator[T]:
    """The same items, read by a thread that is at most `depth` of them ahead.

    An error of the reader is raised where its item would have come. The thread ends with the iteration, however it
    ends.
    """
    waiting: queue.Queue = queue.Queue(maxsize=depth)
    stopped = threading.Event()

    def put(item) -> bool:
        while not stopped.is_set():
            try:
                waiting.put(item, timeout=WAIT)
                return True
            except queue.Full:
                continue
        return False

    def read() -> None:
        try:
            for item in items:
                if not put(item):
                    return
            put(_End())
        except BaseException as error:  # noqa: BLE001 (raised again in the thread that asked)
            put(_End(error))

    thread = threading.Thread(target=read, name="fastem-read-ahead", daemon=True)
    thread.start()
    try:
        while not isinstance(item := waiting.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stopped.set()
        thread.join()
