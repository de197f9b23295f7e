"""Fits that survive their process: after a pass their whole state is written to a file, in one step."""

import json
import os
from collections.abc import Callable, Iterable
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from fastem.storage.hints import conforms
from fastem.storage.packing import pack, unpack
from fastem.storage.tensors import Arrays, Kind, named, read_tensors, write_tensors

CHECKPOINT = Kind("checkpoint", "fastem checkpoint", 3, 3, ("settings", "fingerprint", "state"), digested=True)

S = TypeVar("S")


class Checkpoint:
    """A file that the state of one fit is kept in.

    Parameters
    ----------
    path : path
    every : int
        Passes between two writes; what lies between is written when the fit is interrupted.
    settings : dict of str
        Everything besides the data that the result depends on, as `described`.
    modules : names of modules
        See `fastem.storage.packing`.

    Raises
    ------
    ValueError
        If there is a file that is no checkpoint, or one of a fit with other settings.
    """

    def __init__(self, path: str | os.PathLike[str], every: int, settings: dict[str, str], modules: Iterable[str] = ()):
        self.path, self.every, self.settings, self.modules = Path(path), every, settings, tuple(modules)
        self.fingerprint: str | None = None
        self._content: tuple[Any, Arrays] | None = None
        self._waiting = 0
        self._found = self._read() if self.path.exists() else None

    def state(self, kind: type[S], check: Callable[[S], Any] = lambda state: None) -> S | None:
        """What was written last, or None.

        Raises
        ------
        ValueError
            If that is not of this kind, or `check` cannot do with it.
        """
        if self._found is None:
            return None
        texts, arrays = self._found
        with named(self.path, CHECKPOINT):
            state = unpack(json.loads(texts["state"]), arrays, self.modules)
            if not isinstance(state, kind):
                raise TypeError(f"a {type(state).__name__} in place of a {kind.__name__}")
            check(state)
        return state

    def believe(self, check: Callable[[], None]) -> None:
        """Call a check of what `state` has returned: what it raises is a ValueError that names the file."""
        with named(self.path, CHECKPOINT):
            check()

    def bind(self, fingerprint: str) -> None:
        """Say which data the fit is of; ValueError if the file is about others."""
        self.fingerprint = fingerprint
        if self._found is not None and self._found[0]["fingerprint"] != fingerprint:
            raise ValueError(
                f"{self.path}: the checkpoint of a fit to other data. Give another path, or remove it to begin anew."
            )

    def keep(self, state: Any, *, now: bool = False) -> None:
        """Remember the state after a pass, and write it if that is due or must be `now`."""
        arrays: dict[str, np.ndarray] = {}
        self._content = pack(state, arrays), arrays
        self._waiting += 1
        if now or self._waiting >= self.every:
            self.flush()

    def flush(self) -> None:
        """Write what has not been written.

        Raises
        ------
        OSError
            If it can't be written; the file is the one before.
        """
        if self._content is None or not self._waiting:
            return
        state, arrays = self._content
        texts = {
            "settings": json.dumps(self.settings),
            "fingerprint": self.fingerprint or "",
            "state": json.dumps(state),
        }
        try:
            write_tensors(self.path, CHECKPOINT, arrays, texts)
        except OSError as error:
            message = f"the checkpoint cannot be written ({error.strerror or error}); the file before is as it was"
            raise type(error)(error.errno, message, str(self.path)) from None
        self._waiting = 0

    def _read(self) -> tuple[dict[str, str], Arrays]:
        texts, arrays = read_tensors(self.path, CHECKPOINT)
        with named(self.path, CHECKPOINT):
            settings = json.loads(texts["settings"])
            if not conforms(settings, dict[str, str]):
                raise ValueError("it has no settings")
        for name in sorted({*self.settings, *settings}):
            before, present = settings.get(name), self.settings.get(name)
            if before != present:
                raise ValueError(
                    f"{self.path}: the checkpoint of a fit with {name}={before}, this one has {name}={present}. Give "
                    "another path, or remove it to begin anew."
                )
        return texts, arrays


def _is_ragged(value: Any) -> bool:
    """Whether a list holds arrays of several shapes, or no arrays at all."""
    try:
        return len({np.shape(part) for part in value}) > 1
    except ValueError:
        return True


def described(value: Any) -> str:
    """A setting as text that differs when the setting does."""
    if isinstance(value, list | tuple) and _is_ragged(value):
        return f"[{', '.join(map(described, value))}]"
    if isinstance(value, np.ndarray | list | tuple):
        array = np.asarray(value)
        if array.dtype.kind in "biuf":
            digest = blake2b(np.ascontiguousarray(array).tobytes(), digest_size=8).hexdigest()
            return f"array of shape {array.shape} ({digest})"
    if callable(value):
        return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value).__name__)}"
    if isinstance(value, np.random.RandomState):
        return "RandomState"  # its state is kept
    return repr(value)
