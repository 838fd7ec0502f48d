"""Text that others wrote - UTF-8, JSON, YAML -, read so that nothing but an error of ours comes out of it.

`where` names the text in messages (a file, or where in it); `error` is what its reader raises.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aue_crl_core.errors import AueCrlError, ConfigError, MissingDependencyError, import_failure

if TYPE_CHECKING:
    from yaml import Node

_NO_PLAIN_YAML: Final = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What PyYAML raises, beside its own errors, on text that is deeply nested, or holds values that no Python has."""


def read_text(path: Path, error: type[AueCrlError]) -> str:
    """The text of a UTF-8 file, with or without a byte order mark; line ends are those of the file.

    Raises:
        error: it cannot be read, or is not UTF-8.
    """
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as failure:  # ValueError: no name of a file (a zero byte in it)
        raise error(f"{path} cannot be read: {getattr(failure, 'strerror', None) or failure}") from failure
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        line = failure.object.count(b"\n", 0, failure.start) + 1
        byte = failure.object[failure.start]
        raise error(f"{path}:{line} must be UTF-8 text, got the byte 0x{byte:02x}; save the file as UTF-8") from failure


def json_object(text: str | bytes, where: str, error: type[AueCrlError]) -> dict[str, Any]:
    """A JSON object (`{...}`).

    Raises:
        error: other text.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as failure:
        raise error(f"{where} must be JSON, got: {failure}; it is damaged, or not of this project") from failure
    if not isinstance(values, dict):
        raise error(f"{where} must be a JSON object, got a {type(values).__name__}")
    return values


def yaml_node(text: str, where: str) -> Node | None:
    """The one document of a YAML text; None where it is empty.

    Raises:
        ConfigError: no YAML, or YAML with aliases (as ROS refuses them: a few lines of them hold billions of values).
        MissingDependencyError: without PyYAML.
    """
    try:
        import yaml
    except ImportError as failure:
        raise MissingDependencyError("pyyaml", "dds", "reading YAML", import_failure(failure, "yaml")) from failure

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.MarkedYAMLError(problem="aliases are not read", problem_mark=self.peek_event().start_mark)
            return super().compose_node(parent, index)

    try:
        return yaml.compose(text, Loader)
    except (yaml.YAMLError, *_NO_PLAIN_YAML) as failure:
        raise ConfigError(f"{where} must be YAML, got: {' '.join(str(failure).split())}") from failure


def yaml_value(node: Node) -> Any:
    """The plain Python value of a node.

    Raises:
        ConfigError: it has none.
    """
    import yaml

    loader = yaml.SafeLoader("")
    try:
        return loader.construct_object(node, deep=True)
    except (yaml.YAMLError, *_NO_PLAIN_YAML) as failure:
        got = repr(node.value[:80]) if node.id == "scalar" else f"a {node.id} ({' '.join(str(failure).split())})"
        raise ConfigError(f"must be a plain value, got {got}") from failure
    finally:
        loader.dispose()
