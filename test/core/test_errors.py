"""Errors say what was needed and what to do."""

from __future__ import annotations

import pytest

from aue_crl_core import errors
from aue_crl_core.errors import AueCrlError, MissingDependencyError, import_failure


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        (errors.ConfigError, ValueError),
        (errors.ImageError, ValueError),
        (errors.DatasetError, ValueError),
        (errors.BagError, ValueError),
        (errors.CheckpointError, ValueError),
        (errors.TrainingError, RuntimeError),
        (errors.MissingDependencyError, ImportError),
    ],
)
def test_every_error_is_ours_and_of_the_standard_kind(kind, base):
    assert issubclass(kind, AueCrlError)
    assert issubclass(kind, base)


def test_a_missing_package_names_the_extra():
    message = str(MissingDependencyError("pyarrow", "tables", "writing Parquet"))
    assert message == "writing Parquet needs the package 'pyarrow': pip install 'aue-crl[tables]'"


def test_a_missing_package_of_the_base_install_names_no_extra():
    assert str(MissingDependencyError("onnxruntime", "", "the onnx engine")).endswith("pip install 'aue-crl'")


def test_a_package_that_is_there_and_does_not_import_says_why():
    message = str(MissingDependencyError("pyarrow", "tables", "writing Parquet", "numpy>=2 is required"))
    assert "does not import: numpy>=2 is required" in message
    assert "aue-crl[tables]" in message


def test_an_absent_package_has_no_further_reason():
    with pytest.raises(ImportError) as caught:
        import a_package_that_nobody_wrote  # noqa: F401
    assert import_failure(caught.value, "a_package_that_nobody_wrote") is None


def test_a_package_that_lacks_one_of_its_own_says_which(tmp_path, monkeypatch):
    (tmp_path / "half_installed.py").write_text("import numpy_of_another_age\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError) as caught:
        import half_installed  # noqa: F401
    assert "numpy_of_another_age" in import_failure(caught.value, "half_installed")


def test_a_package_that_refuses_to_start_says_why_on_one_line(tmp_path, monkeypatch):
    (tmp_path / "refusing.py").write_text("raise ImportError('needs numpy>=2,\\n   got 1.26')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError) as caught:
        import refusing  # noqa: F401
    assert import_failure(caught.value, "refusing") == "needs numpy>=2, got 1.26"
