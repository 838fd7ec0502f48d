"""The kernel's limit is read where there is one."""

from __future__ import annotations

from aue_crl_core.receive_buffers import receive_limit


def test_it_is_read_in_bytes(tmp_path):
    (tmp_path / "net" / "core").mkdir(parents=True)
    (tmp_path / "net" / "core" / "rmem_max").write_text("212992\n")
    assert receive_limit(tmp_path) == 212_992


def test_a_system_without_it_has_none(tmp_path):
    assert receive_limit(tmp_path) is None
