"""examples/greet.py: each face is greeted once, when it begins to smile."""

from __future__ import annotations

import importlib.util
from collections import deque
from pathlib import Path

import pytest

pytest.importorskip("py_trees")


def test_each_face_is_greeted_once():
    spec = importlib.util.spec_from_file_location("greet", Path(__file__).parents[2] / "examples" / "greet.py")
    greet = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(greet)
    smiles, said = deque(), []
    root = greet.tree(smiles, said.append)

    def tick(*new: str) -> int:
        smiles.extend(new)
        for _ in range(3):
            root.tick_once()
        return len(said)

    assert tick() == 0
    assert tick("f1", "f1") == 1
    assert tick("f1") == 1
    assert tick("f2") == 2
    assert said[1].startswith("Hello, f2!")
