"""Compiled code on disk belongs to one state of the sources."""

import fcntl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import pytest

from halo_core.lensing.compiled import _cache_folder, _fingerprint, compiled


def test_fingerprint_changes_with_any_source_and_with_the_version(tmp_path):
    one, two = tmp_path / "a.py", tmp_path / "b.py"
    one.write_text("x = 1\n")
    two.write_text("y = 1\n")
    first = _fingerprint([one, two], "1.0")
    assert _fingerprint([two, one], "1.0") == first
    assert _fingerprint([one, two], "1.1") != first
    two.write_text("y = 2\n")
    assert _fingerprint([one, two], "1.0") != first


def test_compiled_code_of_a_package_that_cannot_be_written_is_kept_at_home(tmp_path):
    assert _cache_folder(tmp_path, tmp_path / "home") == tmp_path / "__pycache__"
    assert _cache_folder(tmp_path / "not there", tmp_path / "home") == tmp_path / "home" / ".cache" / "dark_halo_scope"


def test_compiling_leaves_the_settings_of_numba_as_they_were(monkeypatch, tmp_path):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    @compiled
    def double(x: float) -> float:
        return 2.0 * x

    assert double(1.5) == 3.0
    assert str(tmp_path) == numba.config.CACHE_DIR
    assert any(path.name.startswith("compiled_") for path in tmp_path.iterdir())


def test_division_by_zero_is_ieee(monkeypatch, tmp_path):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    @compiled
    def inverse(x: float) -> float:
        return 1.0 / x

    assert inverse(0.0) == float("inf")


def test_processes_that_compile_at_once_keep_what_they_made_one_after_the_other(monkeypatch, tmp_path):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    @compiled
    def triple(x: float) -> float:
        return 3.0 * x

    folder = Path(triple._cache.cache_path)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as handle, ThreadPoolExecutor(1) as pool:
        fcntl.flock(handle, fcntl.LOCK_EX)
        calling = pool.submit(triple, 1.5)
        with pytest.raises(TimeoutError):
            calling.result(timeout=3.0)
        assert [path.name for path in folder.iterdir()] == [".lock"]
        fcntl.flock(handle, fcntl.LOCK_UN)
        assert calling.result() == 4.5
    assert [path.suffix for path in sorted(folder.glob("*.nb?"))] == [".nbc", ".nbi"]
