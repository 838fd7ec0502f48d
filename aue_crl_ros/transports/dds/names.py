"""ROS names: expansion, remapping and validation as rcl does them, without ROS.

Source: rcl `expand_topic_name.c`, `remap.c`; rmw `validate_full_topic_name.c`, `validate_node_name.c`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from aue_crl_core.errors import ConfigError

_TOKEN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SUBSTITUTION: Final = re.compile(r"\{([^{}]*)\}")
_LONGEST_TOPIC: Final = 247
_NODE_KEYS: Final = ("__node", "__name")
_NAMESPACE_KEY: Final = "__ns"


def _absolute(name: str, asked: str) -> str:
    """`name` if it is a valid absolute name."""
    tokens = name[1:].split("/")
    if not name.startswith("/") or not all(_TOKEN.fullmatch(token) for token in tokens):
        raise ConfigError(
            f"a ROS name must be tokens of letters, digits and underscores, none beginning with a digit, joined by "
            f"single slashes (relative, ~/private or /absolute); got {asked!r}"
            + ("" if name == asked else f", which stands for {name!r}")
        )
    if len(name) > _LONGEST_TOPIC:
        raise ConfigError(f"a ROS name must have at most {_LONGEST_TOPIC} characters, got {len(name)}: {name!r}")
    return name


@dataclass(frozen=True)
class NodeNames:
    """A node's name and namespace, and what topics and services mean to it.

    `remappings` from name to name, each relative, private or absolute, as in `--remap from:=to`; the keys `__node` (or
    `__name`) and `__ns` rename the node itself. `name` and `namespace` (absolute, `/` for the root) are then the names
    in force.

    Raises:
        ConfigError: a name is not a valid ROS name.
    """

    name: str
    namespace: str = "/"
    remappings: Mapping[str, str] = field(default_factory=dict)
    _rules: dict[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        rules = dict(self.remappings)
        namespace = rules.pop(_NAMESPACE_KEY, self.namespace)
        name = self.name
        for key in _NODE_KEYS:
            name = rules.pop(key, name)
        if not _TOKEN.fullmatch(name):
            raise ConfigError(
                f"a node's name must be letters, digits and underscores, not beginning with a digit; got {name!r}"
            )
        namespace = "/" + namespace.strip("/")
        if namespace != "/":
            _absolute(namespace, namespace)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "namespace", namespace)
        expanded: dict[str, str] = {}
        for source, target in rules.items():
            expanded.setdefault(self.expand(source), self.expand(target))
        object.__setattr__(self, "_rules", expanded)

    @property
    def full_name(self) -> str:
        """Namespace and name: `/robot/expression`."""
        return f"{self.namespace.rstrip('/')}/{self.name}"

    def expand(self, topic: str) -> str:
        """The absolute name, before remapping; knows `~`, `{node}`, `{ns}` and `{namespace}`."""
        values = {"node": self.name, "ns": self.namespace.rstrip("/"), "namespace": self.namespace.rstrip("/")}

        def substitute(match: re.Match[str]) -> str:
            if match[1] not in values:
                raise ConfigError(
                    f"a substitution in a ROS name must be one of {sorted(values)}; got {match[0]!r} in {topic!r}"
                )
            return values[match[1]]

        name = _SUBSTITUTION.sub(substitute, topic)
        if name == "~" or name.startswith("~/"):
            name = self.full_name + name[1:]
        elif not name.startswith("/"):
            name = f"{self.namespace.rstrip('/')}/{name}"
        return _absolute(name, topic)

    def resolve(self, topic: str) -> str:
        """The absolute name that `topic` has for this node, remapped once.

        Raises:
            ConfigError: it is not a valid ROS name.
        """
        name = self.expand(topic)
        return self._rules.get(name, name)
