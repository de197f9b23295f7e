"""Damages files of every format, and demands that reading them ends in rows or in an error that names the file.

    python tests/fuzz_files.py [--mutations 2000] [--seed 0] [FORMAT ...]

Each format has a process of its own, since what is looked for is also the end of one. Exit code 1 if anything is found.
"""

import argparse
import faulthandler
import gzip
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

ROWS = np.random.default_rng(0).normal(size=(50, 3)).round(3)
SECONDS = 20  # after which a reader hangs
MEMORY = 6 * 2**30  # bytes of address space beyond which a size was believed


# a good file of each format -------------------------------------------------------------------------------------------


def frame():
    import pandas as pd

    numbers = pd.DataFrame(ROWS, columns=["a", "b", "c"])
    return numbers.assign(whole=np.arange(50) % 7, flag=ROWS[:, 0] > 0).sample(frac=1, random_state=0)


def parquet(path: Path) -> None:
    frame().to_parquet(path, row_group_size=20)


def hdf5(path: Path, **options: object) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file.create_dataset("group/rows", data=ROWS, **options)


def zarr_array(path: Path, version: int) -> None:
    import zarr

    shape, chunks = ROWS.shape, (20, 3)
    array = zarr.create_array(str(path), shape=shape, chunks=chunks, dtype="float64", zarr_format=version)
    array[:] = ROWS


FORMATS: dict[str, Callable[[Path], None]] = {
    "rows.npy": lambda path: np.save(path, ROWS),
    "columns.npy": lambda path: np.save(path, np.asfortranarray(ROWS)),
    "rows.csv": lambda path: frame().drop(columns="flag").to_csv(path, index=False),
    "rows.csv.gz": lambda path: path.write_bytes(
        gzip.compress(frame().drop(columns="flag").to_csv(index=False).encode())
    ),
    "rows.parquet": parquet,
    "rows.h5": hdf5,
    "chunks.h5": lambda path: hdf5(path, chunks=(20, 3), compression="gzip", fletcher32=True),
    "v2.zarr": lambda path: zarr_array(path, 2),
    "v3.zarr": lambda path: zarr_array(path, 3),
}


# damage ---------------------------------------------------------------------------------------------------------------


def mutated(content: bytes, chance: random.Random) -> bytes:
    """The content with one of the kinds of damage that files suffer, or that a forger does."""
    data = bytearray(content)
    place = min(chance.randrange(len(data)), chance.randrange(len(data)))  # heads and tails of files matter most
    if chance.random() < 0.5:
        place = len(data) - 1 - place
    kind = chance.randrange(7)
    if kind == 0:
        data[place] ^= 1 << chance.randrange(8)
    elif kind == 1:
        data[place] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, *b"0123456789-,'\"[]{}()\n"])
    elif kind == 2:
        del data[place:]
    elif kind == 3:
        length = chance.randrange(1, 9)
        data[place : place + length] = chance.choice([b"\xff", b"\0", b"\x7f", b"9"]) * length
    elif kind == 4:
        data[place:place] = chance.randbytes(chance.randrange(1, 5))
    elif kind == 5:
        del data[place : place + chance.randrange(1, 5)]
    else:
        for _ in range(chance.randrange(2, 20)):
            data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data)


def damaged_copies(name: str, folder: Path, seed: int) -> Iterator[Path]:
    """Files of a format, each damaged anew."""
    chance, original, path = random.Random(f"{name} {seed}"), folder / "original" / name, folder / name
    original.parent.mkdir()
    FORMATS[name](original)
    assert outcome(original) == "read"  # and what must be compiled is
    parts = sorted(file for file in original.rglob("*") if file.is_file()) or [original]
    while True:
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(original, path) if original.is_dir() else shutil.copy(original, path)
        part = chance.choice(parts)
        target = path / part.relative_to(original) if original.is_dir() else path
        if original.is_dir() and chance.random() < 0.1:
            target.unlink()
        else:
            target.write_bytes(mutated(part.read_bytes(), chance))
        yield path


# what must hold -------------------------------------------------------------------------------------------------------


def outcome(path: Path) -> str:
    """What became of reading a file: 'read', 'refused', or what should not have happened."""
    from fastem.sources import as_source

    try:
        source = as_source(str(path))
        assert all(np.isfinite(block.rows).all() for block in source.blocks())
        return "read"
    except (ValueError, OSError) as error:
        named = str(path) in str(error) or str(path) in str(getattr(error, "filename", ""))
        return "refused" if named else f"{type(error).__name__} without the file: {error}"
    except Exception as error:  # noqa: BLE001 (what is looked for)
        return f"{type(error).__name__}: {error}"


class Hanging(BaseException):
    """A reader does not come to an end."""


def hanging(*_: object) -> None:
    raise Hanging


def run_format(name: str, n_mutations: int, seed: int) -> int:
    """Try one format in this process; the number of outcomes that should not be."""
    warnings.simplefilter("ignore")
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, hanging)
    seen: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        copies = damaged_copies(name, Path(folder), seed)
        for number, path in zip(range(n_mutations), copies, strict=False):
            signal.alarm(SECONDS)
            try:
                found = outcome(path)
            except Hanging:
                found = f"hangs for {SECONDS} seconds"
            signal.alarm(0)
            if found not in ("read", "refused") and not seen[found]:
                print(f"{name}, mutation {number} of seed {seed}: {found}")
            seen[found] += 1
    wrong = sum(count for found, count in seen.items() if found not in ("read", "refused"))
    print(f"{name}: {seen['read']} read, {seen['refused']} refused, {wrong} wrong")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("formats", nargs="*", choices=[*FORMATS, []], metavar="FORMAT")
    parser.add_argument("--mutations", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--one-process", action="store_true", help="for all formats, which is quicker")
    options = parser.parse_args()
    if options.one_process:
        names = options.formats or list(FORMATS)
        return min(1, sum(run_format(name, options.mutations, options.seed) for name in names))
    failed = []
    for name in options.formats or FORMATS:
        shared = ["--one-process", "--mutations", str(options.mutations), "--seed", str(options.seed)]
        done = subprocess.run([sys.executable, __file__, name, *shared], env=dict(os.environ), check=False)
        if done.returncode:
            failed.append(f"{name} (exit code {done.returncode})")
    print("failed: " + ", ".join(failed) if failed else "all well")
    return min(1, len(failed))


if __name__ == "__main__":
    sys.exit(main())
