"""`aue-crl calibrate`: the shipped weights on a few labelled faces."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("pyarrow")

from invoked import run  # noqa: E402

from aue_crl_core.checkpoint import load_network  # noqa: E402
from aue_crl_core.cli import calibrate  # noqa: E402
from aue_crl_core.data.index import DatasetIndex  # noqa: E402
from aue_crl_core.engines import find_weights  # noqa: E402
from aue_crl_core.errors import ConfigError, DatasetError  # noqa: E402


def test_only_the_classifiers_change_and_what_was_fitted_is_written_down(fer_index, tmp_path):
    output = tmp_path / "mine.safetensors"
    text = run(calibrate, "--data", fer_index, "--output", output)
    assert "right on" in text
    assert "mean over the expressions" in text
    (old, _), (new, info) = load_network(find_weights("edge", "torch")), load_network(output)
    before, after = old.state_dict(), new.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {
        f"{part}.classifier.{what}" for part in ("expression_branch", "fusion") for what in ("weight", "bias")
    }
    temperature, bias = info.metrics["fused_temperature"], torch.tensor(info.metrics["fused_bias"])
    torch.testing.assert_close(
        after["fusion.classifier.bias"], before["fusion.classifier.bias"] / temperature + bias, atol=1e-3, rtol=0
    )
    assert [*tmp_path.iterdir()] == [output]


def test_the_more_rare_expressions_are_favoured_the_surer_they_are_said(fer_index, tmp_path):
    biases = []
    for share in (0, 1):
        output = tmp_path / f"{share}.safetensors"
        run(calibrate, "--data", fer_index, "--output", output, "--favour-rare", share)
        biases.append(
            dict(zip(("disgust", "neutral"), load_network(output)[0].fusion.classifier.bias[[2, 6]], strict=True))
        )
    plain, balanced = biases
    assert balanced["disgust"] - balanced["neutral"] > plain["disgust"] - plain["neutral"] + 0.5


def test_codes_of_people_set_the_aus_alone(fer_index, tmp_path):
    """Sixty faces, of every second of which somebody says that the chin is raised."""
    output, table = tmp_path / "mine.safetensors", tmp_path / "codes.csv"
    images = [r.image for r in DatasetIndex.read(fer_index).records if r.learnable and r.split in ("train", "valid")]
    rows = [f"{image},{n % 2}" for n, image in enumerate(images[:80])]
    table.write_text("\n".join(["image,AU17", *rows]) + "\n", encoding="utf-8")
    text = run(calibrate, "--data", fer_index, "--output", output, "--au-codes", table, "--no-expressions")
    assert "AU17, coded as there in 40 of 80 faces: evidence x" in text
    assert "right on" not in text
    before, after = (load_network(path)[0].state_dict() for path in (find_weights("edge", "torch"), output))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    head = "action_unit_branch.evidence.classifier"
    assert changed == {f"{head}.weight", f"{head}.bias", "prior_odds.table"}


def test_codes_of_too_few_faces_are_said_to_be_too_few(fer_index, tmp_path):
    table = tmp_path / "codes.csv"
    image = next(r.image for r in DatasetIndex.read(fer_index).records if r.learnable and r.split == "train")
    table.write_text(f"image,AU17\n{image},1\n", encoding="utf-8")
    text = run(
        calibrate, "--data", fer_index, "--output", tmp_path / "m.safetensors", "--au-codes", table, "--no-expressions"
    )
    assert "has 30 faces with it and 30 without" in text


@pytest.mark.parametrize(
    ("words", "error", "complaint"),
    [
        (["--output", "mine.onnx"], ConfigError, "--output must end in .safetensors"),
        (["--output", "mine.safetensors", "--favour-rare", 2], ConfigError, "--favour-rare must be in"),
        (["--output", "mine.safetensors", "--split", "test"], DatasetError, "no split 'test'"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_written(fer_index, tmp_path, monkeypatch, words, error, complaint):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=complaint):
        run(calibrate, "--data", fer_index, *words)
    assert not [*tmp_path.iterdir()]
