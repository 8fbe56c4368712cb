"""Compiled code on disk belongs to one state of the sources."""

import numba

from halo_core.lensing.compiled import _fingerprint, compiled


def test_fingerprint_changes_with_any_source_and_with_nothing_else(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / "b.py").write_text("y = 1\n")
    first = _fingerprint(tmp_path)
    (tmp_path / "notes.txt").write_text("not a source")
    assert _fingerprint(tmp_path) == first
    (tmp_path / "b.py").write_text("y = 2\n")
    assert _fingerprint(tmp_path) != first


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
