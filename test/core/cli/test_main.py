"""The command line as a whole: its list of commands, its exit codes, and what it does not import."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest
from running import run

from aue_crl_core import __version__
from aue_crl_core.cli import console as screen
from aue_crl_core.cli.main import COMMANDS, main


def exit_code(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code or 0


def test_help_lists_every_command(capsys):
    assert exit_code("--help") == 0
    shown = capsys.readouterr().out
    assert [name for name in COMMANDS if name not in shown] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_in_the_table_has_its_module(name):
    assert importlib.util.find_spec(COMMANDS[name].module) is not None


def test_help_imports_no_array_image_or_network_package():
    program = (
        "import sys; from aue_crl_core.cli.main import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit:\n    print(sorted({'torch', 'cv2', 'numpy', 'onnxruntime', 'av'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"


def test_the_package_runs_as_a_module():
    command = [sys.executable, "-m", "aue_crl_core", "--version"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout == f"aue-crl {__version__}\n"


def test_an_unknown_command_is_a_usage_error_that_suggests_the_right_one(capsys):
    assert exit_code("benhc") == 2
    assert "bench" in capsys.readouterr().err


def test_an_option_out_of_its_choices_is_a_usage_error(capsys, photograph_path):
    assert exit_code("run", str(photograph_path), "--engine", "tensorflow") == 2
    complaint = capsys.readouterr().err
    assert "onnx" in complaint
    assert "torch" in complaint


def test_a_projects_own_error_is_one_line_without_a_traceback(capsys, photograph_path):
    assert exit_code("run", str(photograph_path), "--weights", "no-such-weights") == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: weights must be one of ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_a_pipe_gets_no_control_codes_although_notebooks_ask_every_program_for_colour(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    screen.err().print("half of it", style="red")
    assert capsys.readouterr().err == "half of it\n"


@pytest.mark.parametrize(
    ("absent", "arguments", "extra"),
    [
        ("torch", ["calibrate", "--data", "x.parquet", "--output", "o.safetensors"], "train"),
        ("torch", ["compare", "--data", "x.parquet", "--output", "o"], "train"),
        ("torch", ["export", "--weights", "edge", "--output", "o.onnx"], "train"),
        ("torch", ["import-upstream", "x.pkl", "--output", "o.safetensors"], "train"),
        ("torch", ["run", "x.jpg", "--engine", "torch"], "train"),
        ("torch", ["train", "--data", "x.parquet", "--output", "o"], "train"),
        ("matplotlib", ["demo"], "demo"),
        ("matplotlib", ["report", "x.jsonl", "--output", "o.html"], "demo"),
    ],
)
def test_a_package_that_is_not_there_is_named_in_one_line(
    tmp_path, photograph_path, video_path, absent, arguments, extra
):
    """In a process where it can't be imported, as after a base install."""
    (tmp_path / f"{absent}.py").write_text(f"raise ModuleNotFoundError('gone', name={absent!r})\n")
    (tmp_path / "x.jpg").write_bytes(photograph_path.read_bytes())
    if arguments[0] == "report":
        assert run(video_path, "--output", tmp_path / "x.jsonl") == 0
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from aue_crl_core.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert f"needs the package '{absent}': pip install 'aue-crl[{extra}]'" in done.stderr
