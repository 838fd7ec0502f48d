"""A comparison so small that it fits into a test: real FER+ faces, MobileNetV2 at 64 pixels, one thread."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("pyarrow")
pytest.importorskip("tensorboard")

from aue_crl_core.comparison.plan import Trial, trials  # noqa: E402
from aue_crl_core.config import Preprocessing  # noqa: E402
from aue_crl_core.data.index import DatasetIndex  # noqa: E402
from aue_crl_core.data.prepare import prepare  # noqa: E402
from aue_crl_core.training.config import TrainConfig, make_config  # noqa: E402


@pytest.fixture(autouse=True, scope="package")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="package")
def index(fer_root: Path, tmp_path_factory: pytest.TempPathFactory) -> DatasetIndex:
    """32 faces of training, 8 of validation, 12 of test, without points and face mesh."""
    path = tmp_path_factory.mktemp("comparison") / "fer.parquet"
    prepare("ferplus", fer_root, path, None)
    read = DatasetIndex.read(path)
    train, valid = ([r for r in read.records if r.split == split and r.usable] for split in ("train", "valid"))
    test = [dataclasses.replace(record, split="test") for record in valid[8:20]]
    dataclasses.replace(read, records=(*train[:32], *valid[:8], *test)).write(path)
    return DatasetIndex.read(path)


@pytest.fixture(scope="package")
def config() -> TrainConfig:
    preprocessing = dataclasses.asdict(Preprocessing(input_size=64))
    return make_config(
        None, model="mobilenet_v2", batch_size=16, precision="fp32", workers=0, preprocessing=preprocessing
    )


@pytest.fixture(scope="package")
def trial(config: TrainConfig, index: DatasetIndex, tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """Softmax, seed 0, two epochs; not begun."""
    return trials(tmp_path_factory.mktemp("runs"), config, ["softmax"], 1, 2, "test")[0]
