"""docs/architecture.md and docs/robustness.md name only what is there; the first, every folder of the two packages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "architecture.md"
PACKAGES = (ROOT / "aue_crl_core", ROOT / "aue_crl_ros")
BASES = (ROOT, ROOT / "aue_crl_core")
"""What a path of the document begins at: the repository, else the core."""
ENDINGS = (".py", ".md", ".yaml", ".msg")


def named(text: str) -> set[str]:
    """The paths that a document names: between backticks, or a file anywhere in its picture."""
    fenced = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
    pictures = " ".join(body for kind, body in fenced.findall(text) if kind == "mermaid")
    words = re.findall(r"`([^`\s]+)`", fenced.sub("", text))
    return {word for word in words if "/" in word or word.endswith(ENDINGS)} | {
        word for word in re.findall(r"[\w./]+", pictures) if word.endswith(ENDINGS)
    }


def places(path: str) -> list[Path]:
    """Where it is; what ends in a slash is a folder."""
    return [base / path for base in BASES if (base / path).exists() and (base / path).is_dir() == path.endswith("/")]


@pytest.mark.parametrize("name", ["architecture.md", "robustness.md"])
def test_every_path_is_there(name):
    assert sorted(path for path in named((DOCUMENT.parent / name).read_text()) if not places(path)) == []


def test_every_folder_of_the_packages_is_named():
    there = {place for path in named(DOCUMENT.read_text()) for place in places(path)}
    folders = {path.parent for package in PACKAGES for path in package.rglob("__init__.py")}
    assert sorted(str(folder.relative_to(ROOT)) for folder in folders - there) == []


def test_a_path_that_is_not_there_is_found():
    fenced = "```mermaid\na[x<br/>faces/gone.py]\n```\n```sh\n`not/read`\n```\n"
    text = f"`cli/main.py`, `cli/`, `cli`, `no/such/`\n{fenced}"
    assert named(text) == {"cli/main.py", "cli/", "no/such/", "faces/gone.py"}
    assert [path for path in sorted(named(text)) if not places(path)] == ["faces/gone.py", "no/such/"]
