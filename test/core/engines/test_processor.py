"""What a processor can do is read from Linux's own list."""

from __future__ import annotations

import pytest

from aue_crl_core.engines.processor import multiplies_bfloat16, multiplies_int8

INTEL = "processor\t: 0\nflags\t\t: fpu sse4_2 avx2 avx512f {}\npower management:\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd evtstrm {}\nCPU implementer\t: 0x41\n"


@pytest.mark.parametrize(
    ("text", "fast"),
    [
        (INTEL.format("avx512_vnni"), True),
        (INTEL.format("amx_tile amx_int8"), True),
        (INTEL.format("avx_vnni"), True),
        (INTEL.format(""), False),
        (INTEL.format("avx512_vnni_of_the_future"), False),
        (ARM.format("asimddp"), True),
        (ARM.format("crc32"), False),
        ("", False),
    ],
)
def test_instructions_for_eight_bit_integers_are_known_by_name(tmp_path, text, fast):
    (tmp_path / "cpuinfo").write_text(text)
    assert multiplies_int8(tmp_path / "cpuinfo") is fast


@pytest.mark.parametrize(
    ("text", "fast"),
    [
        (INTEL.format("avx512_bf16"), True),
        (INTEL.format("amx_bf16 amx_tile"), True),
        (INTEL.format("avx512_vnni"), False),
        (ARM.format("bf16"), False),  # not tried there
    ],
)
def test_instructions_for_bfloat16_are_known_by_name(tmp_path, text, fast):
    (tmp_path / "cpuinfo").write_text(text)
    assert multiplies_bfloat16(tmp_path / "cpuinfo") is fast


def test_a_machine_without_that_list_is_not_faster(tmp_path):
    assert multiplies_int8(tmp_path / "cpuinfo") is multiplies_bfloat16(tmp_path / "cpuinfo") is False
