"""ROS 2 parameter files without ROS: read for the node on plain DDS, and written as `config/expression.yaml`."""

from __future__ import annotations

import difflib
import json
import os
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aue_crl_core.config import require
from aue_crl_core.errors import ConfigError, brief
from aue_crl_core.text import read_text, yaml_node, yaml_value
from aue_crl_ros.parameters.declarations import PARAMETERS, Parameter, Value

if TYPE_CHECKING:
    from yaml import MappingNode, Node

_SECTION: Final = "ros__parameters"
_OF_ROS: Final = ("use_sim_time", "start_type_description_service", "qos_overrides.")
_NUMBER: Final = re.compile(
    r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"
)  # 1e-3, which YAML 1.1 takes for text and ROS does not


def load(path: str | Path, node_name: str, namespace: str = "/") -> dict[str, Value]:
    """What a ROS 2 parameter file sets of `PARAMETERS` for one node; a later section overrides an earlier one.

    Sections are matched as rclcpp does: `/**` any number of names, `/*` one name, else the node's full name, where a
    missing leading slash is added; namespaces may also be nested mappings. Parameters of the ROS client library
    (`use_sim_time`, `qos_overrides...`) are left out, and so are unknown ones of sections with wildcards, which other
    nodes share.

    Raises:
        ConfigError: no such file, not YAML, no section for this node, or a parameter of its own section that is not
            known or whose value is refused; the message begins with the file and, where it can be said, the line.
        MissingDependencyError: without PyYAML.
    """
    path = Path(path)
    full_name = "/".join(["", *filter(None, namespace.split("/")), node_name])
    sections = list(_sections(path, _parsed(path), ""))
    values: dict[str, Value] = {}
    for pattern, entries in sections:
        if _matches(pattern, full_name):
            for name, node in _flat(path, entries):
                known = PARAMETERS.get(name)
                if known is not None:
                    values[name] = _value(path, known, node)
                elif "*" not in pattern and not name.startswith(_OF_ROS):
                    close = difflib.get_close_matches(name, PARAMETERS, 1)
                    hint = f"; did you mean {close[0]}?" if close else f"; known are {', '.join(PARAMETERS)}"
                    raise ConfigError(f"{_where(path, node)}: no parameter is called {name}{hint}")
    if not any(_matches(pattern, full_name) for pattern, _ in sections):
        found = ", ".join(pattern for pattern, _ in sections) or "none"
        raise ConfigError(f"{path} must have a section for {full_name} (or /**), got {found}")
    return values


def argument(text: str) -> tuple[str, object]:
    """Name and value of `NAME:=VALUE`, as `ros2 run` takes parameters.

    Raises:
        ConfigError: of another form, or the value is not YAML.
        MissingDependencyError: without PyYAML.
    """
    name, mark, value = text.partition(":=")
    require(bool(name and mark), "a parameter", "be given as NAME:=VALUE", text)
    node = yaml_node(value, text)
    return name, None if node is None else _constructed(node)


def render() -> str:
    """The text of `config/expression.yaml`: every parameter at its default, with what it means and may be."""
    lines = [
        "# Parameters of the node aue_crl at their defaults, generated from aue_crl_ros/parameters/declarations.py.",
        "# Those marked 'before configure' can change in the unconfigured state only; all others while the node runs.",
        "/**:",
        f"  {_SECTION}:",
    ]
    for parameter in PARAMETERS.values():
        facts = [*filter(None, [_limits(parameter)]), *([] if parameter.live else ["before configure"])]
        comment = parameter.description + (f" [{'; '.join(facts)}]" if facts else "")
        lines += textwrap.wrap(comment, 112, initial_indent="    # ", subsequent_indent="    # ")
        lines.append(f"    {parameter.name}: {_yaml(parameter.default)}")
    return "\n".join(lines) + "\n"


def table() -> str:
    """The same as a Markdown table, for the documentation."""
    lines = ["| parameter | default | range | live | meaning |", "|---|---|---|---|---|"]
    for p in PARAMETERS.values():
        live = "yes" if p.live else "no"
        lines.append(f"| `{p.name}` | `{_yaml(p.default)}` | {_limits(p)} | {live} | {p.description} |")
    return "\n".join(lines) + "\n"


def _limits(parameter: Parameter) -> str:
    if parameter.choices:
        return ", ".join(parameter.choices)
    return "" if parameter.low is None else f"{parameter.low:g} to {parameter.high:g}"


def _yaml(value: Value) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def _parsed(path: Path) -> MappingNode:
    if not os.path.isfile(path):
        raise ConfigError(f"{path} must be a ROS parameter file, but cannot be read: No such file")
    return _mapping(path, yaml_node(read_text(path, ConfigError), str(path)), f"node names and in them '{_SECTION}:'")


def _sections(path: Path, mapping: MappingNode, prefix: str) -> Iterator[tuple[str, MappingNode | None]]:
    """Pattern of node names and parameters of each section (None: it is empty), in the file's order."""
    for key, value in mapping.value:
        if key.value == _SECTION:
            yield prefix or "/", _mapping(path, value, "'name: value' lines") if value.value else None
            continue
        name = f"{prefix}/{_name(path, key).strip('/')}"
        yield from _sections(path, _mapping(path, value, f"'{_SECTION}:'"), name)


def _flat(path: Path, mapping: MappingNode | None, prefix: str = "") -> Iterator[tuple[str, Node]]:
    """Full name and value of each parameter: `a: {b: 1}` is `a.b`."""
    for key, value in mapping.value if mapping is not None else ():
        name = prefix + _name(path, key)
        if value.id == "mapping":
            yield from _flat(path, value, f"{name}.")
        else:
            yield name, value


def _name(path: Path, node: Node) -> str:
    if node.id != "scalar":
        raise ConfigError(f"{_where(path, node)}: here must be a name, got {node.id}")
    return node.value


def _mapping(path: Path, node: Node | None, must: str) -> MappingNode:
    if node is None or node.id != "mapping":
        where = str(path) if node is None else _where(path, node)
        got = "nothing" if node is None else brief(node.value) if node.id == "scalar" else f"a {node.id}"
        raise ConfigError(f"{where}: here must be {must}, got {got}")
    return node


def _matches(pattern: str, full_name: str) -> bool:
    names = {"/**": r"(/[^/]+)*", "/*": r"/[^/]+"}
    expression = "".join(names.get(part, re.escape(part)) for part in re.split(r"(/\*\*|/\*)", pattern))
    return re.fullmatch(expression, full_name) is not None


def _value(path: Path, parameter: Parameter, node: Node) -> Value:
    try:
        return parameter.checked(_constructed(node))
    except ConfigError as error:
        raise ConfigError(f"{_where(path, node)}: {error}") from error


def _constructed(node: Node) -> Any:
    if node.id == "scalar" and node.style is None and _NUMBER.match(node.value):
        return float(node.value)
    return yaml_value(node)


def _where(path: Path, node: Node) -> str:
    return f"{path}:{node.start_mark.line + 1}"
