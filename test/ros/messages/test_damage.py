"""What libjpeg prints of damaged pictures is heard, and everything else goes its way; in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import pytest

PROGRAM = """
import os, sys
import numpy as np
from aue_crl_ros.messages import damage
from aue_crl_ros.messages.image_decoding import compressed_image
if sys.argv[1] == "heard":
    damage.listen()
for _ in range(3):
    with damage.words() as said:
        os.write(2, b"of another thread\\n")
        compressed_image("jpeg", sys.stdin.buffer.read() if _ == 0 else whole)
    whole = open(sys.argv[2], "rb").read()
    print(said)
print("after it", file=sys.stderr)
print(len(os.listdir("/proc/self/fd")))
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A whole JPEG, as a file, and a damaged one, as bytes."""
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = bytearray(cv2.imencode(".jpg", pixels)[1].tobytes())
    path = tmp_path_factory.mktemp("pictures") / "whole.jpg"
    path.write_bytes(data)
    data[len(data) // 2 : len(data) // 2 + 60] = bytes(60)
    return path, bytes(data)


@pytest.fixture
def told(pictures):
    """Lines of standard output and of standard error of `PROGRAM`."""
    path, damaged = pictures

    def run(how):
        command = [sys.executable, "-c", PROGRAM, how, path]
        done = subprocess.run(command, input=damaged, capture_output=True, check=True, timeout=60)
        return done.stdout.decode().splitlines(), done.stderr.decode().splitlines()

    return run


OTHERS = ["of another thread"] * 3 + ["after it"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux's files in memory")
def test_libjpegs_words_are_heard_and_all_others_pass(told):
    printed, errors = told("heard")
    (said,) = eval(printed[0])
    assert said.startswith("Corrupt JPEG data")
    assert printed[1:3] == ["[]", "[]"]
    assert errors == OTHERS


def test_they_stay_on_standard_error_where_nobody_listens(told):
    printed, errors = told("not heard")
    assert printed[:3] == ["[]"] * 3
    assert [line for line in errors if not line.startswith("Corrupt JPEG data")] == OTHERS
    assert len(errors) == len(OTHERS) + 1


CRASH = """
import ctypes
from aue_crl_ros.messages import damage
damage.listen()
with damage.words():
    ctypes.string_at(0)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux's files in memory")
def test_a_crash_while_a_picture_is_decoded_still_tells_where():
    done = subprocess.run([sys.executable, "-c", CRASH], capture_output=True, timeout=60, check=False)
    assert done.returncode < 0
    assert b"Fatal Python error: Segmentation fault" in done.stderr
    assert b'File "<string>", line 6' in done.stderr
