"""The house: no two files need each other, and each layer knows only those below it. Read from the code's imports."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("aue_crl_core", "aue_crl_ros")
SCRIPTS = ("benchmarks", "examples")
"""Folders whose files are run, and import each other by file name."""

FORBIDDEN = {
    "aue_crl_core": ("aue_crl_ros", "rclpy", "cyclonedds", "rosbags"),
    "aue_crl_core.networks": ("aue_crl_core.training", "aue_crl_core.data", "aue_crl_core.faces"),
    "aue_crl_core.methods": ("aue_crl_core.training",),
    "aue_crl_core.engines": ("aue_crl_core.training", "aue_crl_core.data"),
    "aue_crl_core.faces": ("aue_crl_core.training", "aue_crl_core.networks", "aue_crl_core.media"),
    "aue_crl_core.dynamics": ("aue_crl_core.training", "aue_crl_core.networks", "aue_crl_core.media"),
    "aue_crl_core.analyzer": ("aue_crl_core.training", "aue_crl_core.data", "torch"),
    "aue_crl_core.media": ("aue_crl_core.training", "aue_crl_core.data", "torch"),
    "aue_crl_core.data": ("aue_crl_core.training",),
    "aue_crl_ros": ("aue_crl_core.training", "torch"),
    "aue_crl_ros.session": ("rclpy", "cyclonedds", "aue_crl_ros.transports.dds", "aue_crl_ros.transports.ros"),
    "": ("aue_crl_core.cli",),
}
"""Who must not import what; both by the beginning of the name. The command line is above all of them."""


def below(name: str, package: str) -> bool:
    return not package or name == package or name.startswith(package + ".")


def modules(root: Path) -> dict[str, Path]:
    """Every module of ours by the name that it is imported by."""
    found = {path.stem: path for folder in SCRIPTS for path in (root / folder).glob("*.py")}
    for package in PACKAGES:
        for path in (root / package).rglob("*.py"):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path) -> set[str]:
    """The dotted names that a file imports, for type checkers too; of `from a import b`, both `a` and `a.b`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return found


def needs(root: Path) -> dict[str, set[str]]:
    """Which modules of ours each one imports; `from package import module` needs the module, not the package."""
    known = modules(root)
    graph = {}
    for name, path in known.items():
        found = (imports(path) & known.keys()) - {name}
        graph[name] = {n for n in found if not any(other != n and below(other, n) for other in found)}
    return graph


def loop(graph: dict[str, set[str]]) -> str:
    """A loop of imports in words, or nothing."""
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return " is imported by ".join(error.args[1])
    return ""


def test_no_two_files_import_each_other():
    assert loop(needs(ROOT)) == ""


def test_a_loop_is_named(tmp_path):
    package = tmp_path / "aue_crl_core"
    package.mkdir()
    (package / "a.py").write_text("from aue_crl_core.b import x\n")
    (package / "b.py").write_text("if TYPE_CHECKING:\n    from aue_crl_core import a\n")
    assert set(loop(needs(tmp_path)).split(" is imported by ")) == {"aue_crl_core.a", "aue_crl_core.b"}


@pytest.mark.parametrize("importer", FORBIDDEN)
def test_each_layer_knows_only_those_below_it(importer):
    above = ("aue_crl_core.cli", "aue_crl_core.__main__")
    wrong = [
        f"{name} imports {imported}"
        for name, path in modules(ROOT).items()
        if below(name, importer) and not any(below(name, a) for a in above) and path.parent.name not in SCRIPTS
        for imported in imports(path)
        if any(below(imported, forbidden) for forbidden in FORBIDDEN[importer])
    ]
    assert wrong == []


def test_onnxruntime_is_loaded_in_one_place():
    """`load_onnxruntime`, which turns its telemetry off; an import anywhere else could come first."""
    files = [*modules(ROOT).values(), *(ROOT / "research").glob("*.py"), *(ROOT / "executables").iterdir()]
    assert [str(path) for path in files if any(below(name, "onnxruntime") for name in imports(path))] == []


def test_openvino_is_loaded_in_one_place():
    """`load_openvino`, which leaves its telemetry out."""
    files = [*modules(ROOT).values(), *(ROOT / "research").glob("*.py"), *(ROOT / "benchmarks").glob("*.py")]
    found = [path.relative_to(ROOT) for path in files if any(below(name, "openvino") for name in imports(path))]
    assert [str(path) for path in found] == ["aue_crl_core/engines/openvino.py"]


def test_every_folder_says_what_is_inside():
    packages = {path for path in modules(ROOT).values() if path.name == "__init__.py"}
    folders = {path.parent for path in modules(ROOT).values() if path.parent.name not in SCRIPTS}
    assert {path.parent for path in packages} == folders
    assert [str(path) for path in packages if not ast.get_docstring(ast.parse(path.read_text()))] == []
