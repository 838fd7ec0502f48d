"""No test split is touched while training: its images are never opened, its labels decide nothing."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("tensorboard")

from safetensors.torch import load_file  # noqa: E402

from aue_crl_core.training.directory.history import read_history  # noqa: E402
from aue_crl_core.training.run import train  # noqa: E402

_opened: set[str] = set()
_hooked = False


def _listen(event: str, arguments: tuple) -> None:
    if event == "open" and isinstance(arguments[0], (str, bytes, Path)):
        _opened.add(str(arguments[0]))


@pytest.fixture
def opened() -> set[str]:
    """The files that Python opens from here on (an audit hook, which can't be taken away again)."""
    global _hooked
    if not _hooked:
        sys.addaudithook(_listen)
        _hooked = True
    _opened.clear()
    return _opened


@pytest.fixture(scope="module")
def with_test(tiny_index, tmp_path_factory):
    """`tiny_index` with a test split: one image that is there, one that is no image, and one that is absent, whose
    labels are all of one class."""
    folder = Path(tiny_index.root) / "data" / "FER2013Test"
    folder.mkdir(exist_ok=True)
    real = tiny_index.path(next(r for r in tiny_index.records if r.split == "train"))
    (folder / "there.png").write_bytes(real.read_bytes())
    (folder / "broken.png").write_bytes(b"not an image")
    names = ("there.png", "broken.png", "absent.png")
    template = next(r for r in tiny_index.records if r.split == "train")
    extra = [
        dataclasses.replace(template, image=f"data/FER2013Test/{name}", split="test", label=2, votes=None)
        for name in names
    ]
    return dataclasses.replace(tiny_index, records=(*extra, *tiny_index.records))


def test_training_opens_its_own_images_and_none_of_the_test_split(
    with_test, tiny_config, shipped, finished_run, opened, tmp_path
):
    train(tiny_config, [with_test], tmp_path / "run", landmarks=shipped)
    for record in with_test.records:
        assert (str(with_test.path(record)) in opened) == (record.split != "test"), record.image
    for stage in ("expression", "action_unit", "fusion"):
        a, b = (load_file(run / f"{stage}.safetensors") for run in (tmp_path / "run", finished_run))
        assert all(torch.equal(a[name], b[name]) for name in a), "what the test split holds changes not a bit"
    assert [r["valid/score"] for r in read_history(tmp_path / "run" / "metrics.csv") if r["stage"] == "fusion"] == [
        r["valid/score"] for r in read_history(finished_run / "metrics.csv") if r["stage"] == "fusion"
    ]


def test_a_held_out_validation_split_comes_from_train_alone(with_test, tiny_config, opened, tmp_path):
    bare = dataclasses.replace(with_test, records=tuple(r for r in with_test.records if r.split != "valid"))
    config = dataclasses.replace(tiny_config, held_out=0.3)
    train(config, [bare], tmp_path / "run", ["expression"])
    read = {r.split for r in with_test.records if str(with_test.path(r)) in opened}
    assert read == {"train"}
