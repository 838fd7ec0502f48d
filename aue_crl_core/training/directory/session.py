"""Who, when and with what: each call of `train` on a run's directory leaves a record of itself in `run.json`."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import torch

from aue_crl_core import __version__
from aue_crl_core.training.config import StageName
from aue_crl_core.training.directory.overview import write_overview
from aue_crl_core.training.directory.paths import RUN_FILE, RunPaths, read_run, write_text

_PACKAGES: Final = ("torch", "torchvision", "numpy", "opencv-python-headless")
_GIT_TIMEOUT_S: Final = 20


class Session:
    """Records one call of `train` while it lasts; a context manager.

    A row of `sessions` in `run.json`: `command` and `directory` as the process was started, `stages`, `init` and
    `landmarks` as asked for, `device`, `source` (see `source_revision`), `versions`, `began` and `ended` (UTC; null
    while it lasts, and for ever where the process was killed), `outcome` (`finished`, or what ended it).
    """

    def __init__(
        self, paths: RunPaths, stages: Sequence[StageName], init: Path | str | None, landmarks: Path | None, device: str
    ) -> None:
        self._directory = paths.directory
        self._row: dict[str, Any] = {
            "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            "directory": str(Path.cwd()),
            "stages": list(stages),
            "init": init and str(init),
            "landmarks": landmarks and str(landmarks),
            "device": describe_device(device),
            "source": source_revision(Path(__file__).parents[3]),
            "versions": versions(),
            "began": _now(),
            "ended": None,
            "outcome": None,
        }
        self._number: int | None = None

    def __enter__(self) -> Session:
        self._write()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._row["ended"] = _now()
        self._row["outcome"] = "finished" if error is None else f"{type(error).__name__}: {error}".rstrip(": ")
        self._write()

    def _write(self) -> None:
        about = read_run(self._directory)
        sessions = about.setdefault("sessions", [])
        if self._number is None:
            self._number = len(sessions)
            sessions.append(self._row)
        else:
            sessions[self._number] = self._row
        write_text(self._directory / RUN_FILE, json.dumps(about, indent=1) + "\n")
        write_overview(self._directory)


def source_revision(root: Path) -> dict[str, Any]:
    """The git revision of the checkout that the package runs from.

    Returns:
        `revision`, the commit; `dirty`, whether the package's own files differ from it; `reason`, why there is none.
    """
    try:
        top = _git(root, "rev-parse", "--show-toplevel")
        if Path(top).resolve() != root.resolve():
            return _unknown(f"{root} is not the top of a git checkout: installed, not run from source")
        revision = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--", "aue_crl_core")
    except FileNotFoundError:
        return _unknown("git is not installed")
    except subprocess.TimeoutExpired:
        return _unknown(f"git did not answer within {_GIT_TIMEOUT_S} s")
    except subprocess.CalledProcessError as error:
        return _unknown(f"git in {root}: {' '.join(error.stderr.split()) or error}")
    return {"revision": revision, "dirty": bool(changed), "reason": None}


def versions() -> dict[str, str | None]:
    """Of this package, Python, and what the numbers depend on; None for a package that is not installed."""
    found: dict[str, str | None] = {"aue_crl": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def describe_device(device: str) -> dict[str, Any]:
    """A torch device in words: as asked for, its name, and the threads that compute on a CPU."""
    if torch.device(device).type == "cuda":
        return {"device": device, "name": torch.cuda.get_device_name(device)}
    return {"device": device, "name": _processor(), "threads": torch.get_num_threads()}


def _processor() -> str:
    """The processor's own name, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _git(root: Path, *words: str) -> str:
    # A hook's GIT_DIR would name another repository.
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "--no-optional-locks", "-C", str(root), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env, timeout=_GIT_TIMEOUT_S)
    return done.stdout.strip()


def _unknown(reason: str) -> dict[str, Any]:
    return {"revision": None, "dirty": None, "reason": reason}


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
