"""Fits that survive their process: after a pass their whole state is written to a file, in one step."""

import json
import os
import zipfile
from collections.abc import Iterable
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from fastem.registry import __version__
from fastem.storage.atomic import atomic_write
from fastem.storage.packing import pack, unpack

FORMAT = "fastem checkpoint"
FORMAT_VERSION = 2  # classes are named by their modules


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
        self._content: tuple[Any, dict[str, np.ndarray]] | None = None
        self._waiting = 0
        self._found = self._read() if self.path.exists() else None

    def state(self) -> Any:
        """What was written last, or None."""
        if self._found is None:
            return None
        meta, arrays = self._found
        try:
            return unpack(meta["state"], arrays, self.modules)
        except (KeyError, TypeError, ValueError, AttributeError, ImportError) as error:
            raise ValueError(f"{self.path}: a damaged checkpoint ({error})") from None

    def bind(self, fingerprint: str) -> None:
        """Say which data the fit is of; ValueError if the file is about others."""
        self.fingerprint = fingerprint
        if self._found is not None and self._found[0].get("fingerprint") != fingerprint:
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
        meta = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "fastem_version": __version__,
            "settings": self.settings,
            "fingerprint": self.fingerprint,
            "state": state,
        }
        buffer = BytesIO()
        np.savez(buffer, meta=np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8), **arrays)  # type: ignore[arg-type]
        try:
            with atomic_write(self.path) as file:
                file.write(buffer.getbuffer())
        except OSError as error:
            message = f"the checkpoint cannot be written ({error.strerror or error}); the file before is as it was"
            raise type(error)(error.errno, message, str(self.path)) from None
        self._waiting = 0

    def _read(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        try:
            with np.load(self.path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            meta = json.loads(arrays.pop("meta").tobytes())
        except (ValueError, KeyError, EOFError, AttributeError, zipfile.BadZipFile) as error:
            raise ValueError(f"{self.path}: damaged, or not a checkpoint ({error})") from None
        if not isinstance(meta, dict) or meta.get("format") != FORMAT:
            raise ValueError(f"{self.path}: not a checkpoint")
        if meta.get("format_version") != FORMAT_VERSION:
            raise ValueError(f"{self.path}: written by fastem {meta.get('fastem_version')} in another format")
        for name in sorted({*self.settings, *meta["settings"]}):
            before, present = meta["settings"].get(name), self.settings.get(name)
            if before != present:
                raise ValueError(
                    f"{self.path}: the checkpoint of a fit with {name}={before}, this one has {name}={present}. Give "
                    "another path, or remove it to begin anew."
                )
        return meta, arrays


def described(value: Any) -> str:
    """A setting as text that differs when the setting does."""
    if isinstance(value, list | tuple) and len({np.shape(part) for part in value}) > 1:  # arrays of several shapes
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
