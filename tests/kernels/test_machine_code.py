"""Machine code on disk: found where it lies, kept where that is possible, and no reason for a fit to fail."""

import os
import threading
import time
import warnings
from pathlib import Path

import pytest
from numba.core.compiler_lock import global_compiler_lock

from fastem.kernels import machine_code
from fastem.kernels.compilation import jitted

posix = pytest.mark.skipif(not hasattr(os, "getuid"), reason="needs users")


def plus_one(x):
    return x + 1


def compiled(*folders, monkeypatch):
    """A fresh dispatcher that keeps its code in these folders, called once."""
    monkeypatch.setattr(machine_code, "folders", lambda: folders)
    machine_code.folder_to_write_to.cache_clear()
    function = jitted(plus_one)
    assert function(1) == 2
    return function


@pytest.fixture(autouse=True)
def fresh():
    yield
    machine_code.folder_to_write_to.cache_clear()


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture
def no_disk(monkeypatch):
    """A system whose folders cannot be written to, below the one given."""

    def forbid(place):
        plain = Path.mkdir

        def mkdir(path, *arguments, **options):
            if path.is_relative_to(place):
                raise PermissionError(13, "Permission denied", str(path))
            return plain(path, *arguments, **options)

        monkeypatch.setattr(Path, "mkdir", mkdir)

    return forbid


def test_code_is_found_again(tmp_path, monkeypatch):
    compiled(tmp_path / "a", monkeypatch=monkeypatch)
    assert files(tmp_path / "a")
    again = compiled(tmp_path / "a", monkeypatch=monkeypatch)
    assert sum(again.stats.cache_hits.values()) == 1


def test_code_of_an_image_is_read_where_nothing_can_be_written(tmp_path, monkeypatch, no_disk):
    compiled(tmp_path / "image", monkeypatch=monkeypatch)
    no_disk(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = compiled(tmp_path / "image", tmp_path / "home", monkeypatch=monkeypatch)
    assert sum(again.stats.cache_hits.values()) == 1


def test_the_next_folder_is_taken_where_the_first_cannot_be_written_to(tmp_path, monkeypatch, no_disk):
    no_disk(tmp_path / "image")
    compiled(tmp_path / "image", tmp_path / "home", monkeypatch=monkeypatch)
    assert files(tmp_path / "home")


def test_without_any_folder_there_is_one_warning(tmp_path, monkeypatch, no_disk):
    no_disk(tmp_path)
    with pytest.warns(UserWarning, match="compiled anew in each process. Set NUMBA_CACHE_DIR") as seen:
        function = compiled(tmp_path / "image", monkeypatch=monkeypatch)
    assert len(seen) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert function(1.0) == 2.0


def test_a_full_disk_is_a_warning(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile.save", full)
    with pytest.warns(UserWarning, match=r"No space left on device\)\. Set NUMBA_CACHE_DIR"):
        compiled(tmp_path / "a", monkeypatch=monkeypatch)


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_damaged_files_are_compiled_anew(suffix, tmp_path, monkeypatch):
    compiled(tmp_path / "a", monkeypatch=monkeypatch)
    for path in tmp_path.rglob(f"*{suffix}"):
        path.write_bytes(path.read_bytes()[:30])
    assert not compiled(tmp_path / "a", monkeypatch=monkeypatch).stats.cache_hits
    assert compiled(tmp_path / "a", monkeypatch=monkeypatch).stats.cache_hits


# where ----------------------------------------------------------------------------------------------------------------


def places(monkeypatch, tmp_path, variable=""):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(machine_code.config, "CACHE_DIR", variable)
    machine_code.folders.cache_clear()
    try:
        return [folder.parent for folder in machine_code.folders()]
    finally:
        machine_code.folders.cache_clear()


def test_the_variable_comes_first_and_a_home_is_not_needed(tmp_path, monkeypatch):
    installed, temporary = machine_code.HERE / "__pycache__", machine_code.temporary_folder().name
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert places(monkeypatch, tmp_path) == [installed, tmp_path / "fastem", tmp_path / temporary]
    assert places(monkeypatch, tmp_path, "/there") == [Path("/there"), tmp_path / temporary]

    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    assert places(monkeypatch, tmp_path) == [installed, tmp_path / temporary]


@posix
def test_a_temporary_folder_that_others_can_write_to_is_not_trusted(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    own = machine_code.temporary_folder()
    with pytest.warns(UserWarning, match=f"they are kept in {own}. Set NUMBA_CACHE_DIR"):
        compiled(own / "kernels", monkeypatch=monkeypatch)
    assert own.stat().st_mode & 0o777 == 0o700
    assert compiled(own / "kernels", monkeypatch=monkeypatch).stats.cache_hits
    own.chmod(0o777)
    with pytest.warns(UserWarning, match="compiled anew in each process"):
        assert not compiled(own / "kernels", monkeypatch=monkeypatch).stats.cache_hits
    own.chmod(0o700)
    own.rename(tmp_path / "elsewhere")
    own.symlink_to(tmp_path / "elsewhere")
    with pytest.warns(UserWarning, match="compiled anew in each process"):
        assert not compiled(own / "kernels", monkeypatch=monkeypatch).stats.cache_hits


# forks ----------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_while_another_thread_compiles_can_compile():
    inside = threading.Event()

    def compiling():
        with global_compiler_lock:
            inside.set()
            time.sleep(0.2)

    thread = threading.Thread(target=compiling)
    thread.start()
    inside.wait()
    child = os.fork()
    if not child:
        os._exit(not global_compiler_lock._lock.acquire(timeout=5))
    assert os.waitpid(child, 0)[1] == 0
    thread.join()
