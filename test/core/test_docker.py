"""docker/: what the files name is there. They are built where Docker is."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest

from aue_crl_core.cli.main import COMMANDS

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()
IGNORED = [line.removeprefix("**/") for line in (ROOT / ".dockerignore").read_text().split()]
SERVICES = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())["services"]


def stage(target: str) -> str:
    """The lines of a stage, with continued ones joined."""
    stages = re.split(r"(?m)^FROM \S+ AS (\w+)$", DOCKERFILE.replace("\\\n", " "))
    return dict(zip(stages[1::2], stages[2::2], strict=True))[target]


def copied(target: str) -> set[str]:
    return {source for line in re.findall(r"(?m)^COPY (.+)$", stage(target)) for source in line.split()[:-1]}


@pytest.mark.parametrize("target", ["robot", "workstation"])
def test_every_file_that_is_copied_is_there_and_not_ignored(target):
    assert [source for source in copied(target) if not (ROOT / source).exists()] == []
    assert copied(target).isdisjoint(IGNORED)


def test_the_robot_gets_all_that_cmake_installs():
    text = (ROOT / "CMakeLists.txt").read_text()
    named = re.findall(r"ament_python_install_package\((\w+)\)|install\(DIRECTORY (\w+)|(msg|srv)/\*", text)
    named += [(script,) for script in re.findall(r"(executables|examples)/\w+", text)]
    assert {name for names in named for name in names if name} <= copied("robot")


def test_the_workstation_gets_all_that_goes_into_a_wheel():
    (shared,) = re.findall(r"^SHARED = \((.+)\)", (ROOT / "setup.py").read_text(), re.MULTILINE)
    assert {name.partition("/")[0] for name in re.findall(r'"(.+?)"', shared)} <= copied("workstation")


def test_services_are_stages_and_their_commands_are_ours():
    for name, service in SERVICES.items():
        assert service["build"]["target"] == name
        assert (ROOT / "docker" / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
        assert stage(name)
        assert service["network_mode"] == "host"
    assert "expression.launch.py" in SERVICES["robot"]["command"]
    assert (ROOT / "launch" / "expression.launch.py").is_file()
    command, *options = SERVICES["workstation"]["command"].split()
    parameters = inspect.signature(importlib.import_module(COMMANDS[command].module).command).parameters
    named = {option.removeprefix("--").replace("-", "_") for option in options if option.startswith("--")}
    assert named <= set(parameters)
