"""onnxruntime as the package loads it: it reports nothing to its makers."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("onnxruntime")

_TELL_AT_LOAD = """
import os, sys
from aue_crl_core.onnx_session import make_session

class Tell:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "onnxruntime":
            print(os.environ.get("ORT_DISABLE_TELEMETRY"))

sys.meta_path.insert(0, Tell)
try:
    make_session(b"no model")
except ValueError:
    pass
"""


@pytest.mark.parametrize(("own", "seen"), [(None, "1"), ("0", "0")])
def test_telemetry_is_off_before_onnxruntime_loads_and_a_users_own_setting_stays(own, seen):
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {} if own is None else {"ORT_DISABLE_TELEMETRY": own}
    command = [sys.executable, "-c", _TELL_AT_LOAD]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [seen]
