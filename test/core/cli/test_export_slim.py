"""`aue-crl export --slim`: a trained network made narrower on the faces of an index."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("pyarrow")
pytest.importorskip("onnx")

from invoked import run  # noqa: E402

from aue_crl_core.checkpoint import CheckpointInfo, read_info, save_network  # noqa: E402
from aue_crl_core.cli import export  # noqa: E402
from aue_crl_core.config import model_config  # noqa: E402
from aue_crl_core.engines.onnx import OnnxEngine  # noqa: E402
from aue_crl_core.errors import ConfigError  # noqa: E402
from aue_crl_core.networks import build_network  # noqa: E402


@pytest.mark.parametrize("name", ["narrow.onnx", "narrow.safetensors"])
def test_what_is_written_is_narrow_and_is_compared_with_what_it_was_made_of(fer_index, tmp_path, name):
    torch.manual_seed(0)
    network, wide, output = build_network(model_config("mobilenet_v2")), tmp_path / "wide.safetensors", tmp_path / name
    save_network(wide, network, CheckpointInfo(network.config, "joint", data=({"layout": "ferplus"},)))
    text = run(export, "--weights", wide, "--slim", fer_index, "--output", output)
    assert "narrow beside wide on" in text
    config = OnnxEngine(output).config if output.suffix == ".onnx" else read_info(output).config
    assert config.top_channels < 320
    if output.suffix == ".safetensors":
        assert read_info(output).data == ({"layout": "ferplus"},)
        assert output.stat().st_size < 0.8 * wide.stat().st_size


def test_the_shipped_weights_are_narrow_already(fer_index, tmp_path):
    with pytest.raises(ConfigError, match="narrowed already"):
        run(export, "--weights", "edge", "--slim", fer_index, "--output", tmp_path / "narrow.onnx")
    assert not [*tmp_path.iterdir()]
