"""Times of steps on a device, and of ours beside theirs in turns, so that a busy machine slows both."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable

import torch

Step = Callable[[], None]


def seconds(step: Step, device: str, least: float = 1.0) -> float:
    """Median seconds of a step: one to warm up, then at least three and `least` seconds of them."""
    taken: list[float] = []
    step()
    while len(taken) < 3 or sum(taken) < least:
        wait(device)
        began = time.perf_counter()
        step()
        wait(device)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def wait(device: str) -> None:
    """Until the device has done what it was told."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def compare(
    name: str,
    images: int,
    theirs: Callable[[], Step] | None,
    ours: Callable[[], Step],
    device: str,
    rounds: int,
    other: str = "theirs",
    other_images: int | None = None,
) -> float:
    """Print images a second of both and their ratio; returns seconds an image of ours.

    Each is built, timed and thrown away in turn, so that only one is in memory. A step of ours takes `images` in,
    theirs `other_images` (None: as many).
    """
    ratios, times = [], []
    for _ in range(rounds):
        before = None if theirs is None else timed(theirs, device) / (other_images or images)
        times.append(timed(ours, device) / images)
        if before is not None:
            ratios.append(before / times[-1])
    mine = statistics.median(times)
    line = f"{name:42} ours {1 / mine:9.2f} images/s"
    if ratios:
        line += f"   {other} {1 / mine / statistics.median(ratios):9.2f}   {statistics.median(ratios):8.1f} x"
        line += f"  [{min(ratios):.1f} .. {max(ratios):.1f}]"
    print(line, flush=True)
    return mine


def timed(build: Callable[[], Step], device: str) -> float:
    """Seconds of a step that is built for this only."""
    step = build()
    taken = seconds(step, device)
    del step
    gc.collect()
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
    return taken


def compare_sums(
    title: str,
    ours: list[tuple[Callable[[], Step], float]],
    theirs: Callable[[], Step] | None,
    their_images: int,
    device: str,
) -> None:
    """Print images a second of a sum of steps, each with its weight an image, and the ratio to theirs."""
    mine = sum(timed(build, device) * weight for build, weight in ours)
    line = f"{title:42} ours {1 / mine:9.2f} images/s"
    if theirs is not None:
        other = timed(theirs, device) / their_images
        line += f"   theirs {1 / other:9.2f}   {other / mine:8.1f} x"
    print(line, flush=True)
