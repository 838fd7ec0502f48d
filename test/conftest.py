"""Real images for the tests: one that ships with matplotlib, and faces from the shared data where they are."""

from __future__ import annotations

import base64
import itertools
import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

try:
    from hypothesis import settings
except ImportError:
    pass
else:
    settings.register_profile("any machine", deadline=None)  # no test depends on how fast it is
    settings.load_profile("any machine")

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # some tests load onnxruntime before the package does
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # one worker a core: torch's threads would wait for each other


def pytest_configure(config):
    """With `-n N` (pytest-xdist) tests are shared out by groups, in their order."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        config.option.loadgroup = True  # the worker reads the command line itself, and names groups only if that does
    elif getattr(config.option, "dist", "no") == "load":
        config.option.dist, config.option.loadscopereorder = "loadgroup", False


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """A file is a group, and all that uses DDS is one, the first: it takes longest."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: "ros" not in item.path.parts)
        for item in items:
            group = item.nodeid.partition("::")[0] if "ros" not in item.path.parts else "ros"
            item.add_marker(pytest.mark.xdist_group(group))


SHARED = Path(os.environ.get("AUE_CRL_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def disk_with() -> Callable[[int], AbstractContextManager[None]]:
    """Within `disk_with(size)`, no file grows beyond so many bytes: writing fails as it does on a full disk."""
    resource = pytest.importorskip("resource")

    @contextmanager
    def limited(size: int) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limited


@dataclass
class ReadPage:
    """What a browser would show of a page: `figures` name -> SVG, `pictures` JPEG bytes, `addresses` of whatever is
    not in the page itself."""

    text: str = ""
    tables: list[list[list[str]]] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)
    pictures: list[bytes] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)


class _PageReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page, self._figure, self._within = ReadPage(), "", []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self._figure = values.get("id", "") if tag == "figure" else self._figure
        if tag not in ("img", "meta"):
            self._within.append(tag)
        if tag == "table":
            self.page.tables.append([])
        elif tag == "tr":
            self.page.tables[-1].append([])
        elif tag in ("td", "th"):
            self.page.tables[-1][-1].append("")
        for address in (values[name] for name in ("src", "href") if name in values):
            kind, _, data = address.partition(";base64,")
            if kind == "data:image/svg+xml":
                self.page.figures[self._figure] = base64.b64decode(data).decode()
            elif kind == "data:image/jpeg":
                self.page.pictures.append(base64.b64decode(data))
            else:
                self.page.addresses.append(address)

    def handle_endtag(self, tag):
        assert self._within.pop() == tag

    def handle_data(self, data):
        if self._within and self._within[-1] in ("td", "th"):
            self.page.tables[-1][-1][-1] += data
        elif self._within and self._within[-1] not in ("style", "script"):
            self.page.text += data


@pytest.fixture(scope="session")
def read_page() -> Callable[[Path], ReadPage]:
    """Reads an HTML file, whose every element must be closed."""

    def read(path: Path) -> ReadPage:
        reader = _PageReader()
        reader.feed(path.read_text(encoding="utf-8"))
        assert reader._within == []
        return reader.page

    return read


def _archive(name: str) -> Path:
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"real faces not found: {path} (set AUE_CRL_TEST_DATA to the folder that holds {name})")
    return path


@pytest.fixture(scope="session")
def photograph_path() -> Path:
    """A 512x600 colour portrait: Grace Hopper, a US Navy photograph (public domain), from matplotlib."""
    matplotlib = pytest.importorskip("matplotlib")
    return Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


@pytest.fixture(scope="session")
def photograph(photograph_path: Path) -> np.ndarray:
    """`photograph_path` as HxWx3 uint8 RGB."""
    return cv2.cvtColor(cv2.imread(str(photograph_path)), cv2.COLOR_BGR2RGB)


@pytest.fixture(scope="session")
def one_torch_thread():
    """Small networks on a busy machine: torch's threads wait for each other far longer than they compute."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def raf_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small RAF-DB tree of real photographs: 48 of training, 24 of test, with its own label list."""
    root = tmp_path_factory.mktemp("raf")
    with tarfile.open(_archive("facial_expressions_raf_layout.tar")) as archive:
        prefix = "./raf_layout/"
        labels = archive.extractfile(prefix + "basic/EmoLabel/list_patition_label.txt").read().decode().splitlines()
        kept = [line for line in labels if line.startswith("train")][:48]
        kept += [line for line in labels if line.startswith("test")][:24]
        (root / "basic/EmoLabel").mkdir(parents=True)
        (root / "basic/Image/original").mkdir(parents=True)
        (root / "basic/EmoLabel/list_patition_label.txt").write_text("\n".join(kept) + "\n")
        for line in kept:
            name = line.split()[0]
            data = archive.extractfile(f"{prefix}basic/Image/original/{name}").read()
            (root / "basic/Image/original" / name).write_bytes(data)
    return root


@pytest.fixture(scope="session")
def fer_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small FER+ tree of real 48x48 faces: 64 of training, 32 of validation."""
    root = tmp_path_factory.mktemp("ferplus")
    wanted = {"FER2013Train": 64, "FER2013Valid": 32}
    with tarfile.open(_archive("ferplus_train_valid.tar.gz")) as archive:
        for member in archive:
            parts = Path(member.name).parts
            folder = next((f for f in wanted if f in parts), None)
            if folder is None or not member.isfile():
                continue
            target = root / "data" / folder
            target.mkdir(parents=True, exist_ok=True)
            if member.name.endswith("label.csv"):
                (target / "label.csv").write_bytes(archive.extractfile(member).read())
            elif wanted[folder]:
                (target / Path(member.name).name).write_bytes(archive.extractfile(member).read())
                wanted[folder] -= 1
    for folder in wanted:
        present = {p.name for p in (root / "data" / folder).glob("*.png")}
        lines = (root / "data" / folder / "label.csv").read_text().splitlines()
        (root / "data" / folder / "label.csv").write_text(
            "\n".join(line for line in lines if line.split(",")[0] in present) + "\n"
        )
    return root


@pytest.fixture(scope="session")
def raf_images(raf_root: Path) -> list[np.ndarray]:
    """A few of the photographs, HxWx3 uint8 RGB."""
    paths = itertools.islice(sorted((raf_root / "basic/Image/original").iterdir()), 12)
    return [cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) for path in paths]
