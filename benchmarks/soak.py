"""The DDS node for a long time: faces that come and go at a rate above its own, with ROS4HRI topics listened to.

    python benchmarks/soak.py --minutes 60 --output soak

Every ten seconds a row of OUTPUT.csv: results a second, milliseconds from an image's stamp to its result received (p50,
p99), and the node's resident memory, file descriptors, threads, face ids so far, images dropped so far. At the end
OUTPUT.png, and a summary: memory's slope after the warm-up (the first tenth, two minutes at most), and the others at
the beginning and at the end.
"""

from __future__ import annotations

import argparse
import csv
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from node_latency import PORTRAIT, Run, node_command

from aue_crl_ros.transports.dds.transport import DdsTransport
from aue_crl_ros.transports.transport import RESULT, Subscription

PARAMETERS: Final = ["hri:=true", "lost_after_s:=0.3"]
LISTENED: Final = {
    "roi": "hri_msgs/msg/NormalizedRegionOfInterest2D",
    "landmarks": "hri_msgs/msg/FacialLandmarks",
    "facs": "hri_msgs/msg/FacialActionUnits",
    "expression": "hri_msgs/msg/Expression",
    "cropped": "sensor_msgs/msg/Image",
}
SHOWN_S, ABSENT_S, ROW_S = 1.0, 0.5, 10.0


@dataclass(frozen=True)
class Row:
    """The state of the node at one time, and its results since the row before."""

    minute: float
    results_hz: float
    p50_ms: float
    p99_ms: float
    memory_mb: float
    descriptors: int
    threads: int
    ids: int
    dropped: int


class Humans:
    """Listens to the ROS4HRI topics of every face while it is listed."""

    def __init__(self, transport: DdsTransport) -> None:
        self._transport = transport
        self._topics: dict[str, list[Subscription]] = {}
        self.count = 0
        transport.subscription("/humans/faces/tracked", "hri_msgs/msg/IdsList", RESULT, self._follow)

    def _follow(self, message: Any) -> None:
        for face_id in [known for known in self._topics if known not in message.ids]:
            for topic in self._topics.pop(face_id):
                topic.close()
        for face_id in message.ids:
            if face_id not in self._topics:
                self.count += 1
                self._topics[face_id] = [
                    self._transport.subscription(f"/humans/faces/{face_id}/{name}", kind, RESULT, lambda message: None)
                    for name, kind in LISTENED.items()
                ]


def scenes() -> Iterator[np.ndarray]:
    """Without end: the portrait at another place, size and brightness each time; 480x640x3 uint8 RGB."""
    random = np.random.default_rng(0)
    photograph = cv2.cvtColor(cv2.imread(str(PORTRAIT)), cv2.COLOR_BGR2RGB)
    while True:
        height = int(random.integers(200, 480))
        tile = cv2.resize(photograph, (height * 512 // 600, height), interpolation=cv2.INTER_AREA)
        tile = cv2.convertScaleAbs(tile, alpha=random.uniform(0.6, 1.2))[:, :: random.choice((-1, 1))]
        y, x = random.integers(0, (480 - height + 1, 640 - tile.shape[1] + 1))
        canvas = np.full((480, 640, 3), 90, np.uint8)
        canvas[y : y + height, x : x + tile.shape[1]] = tile
        yield canvas


def state(pid: int) -> tuple[float, int, int]:
    """Resident memory in MB, open file descriptors and threads of a process."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return int(status["VmRSS"].split()[0]) / 1e3, descriptors, int(status["Threads"])


def soak(run: Run, humans: Humans, pid: int, rate_hz: float, minutes: float) -> Iterator[Row]:
    """Shows faces and yields a row every ten seconds."""
    pictures, empty = scenes(), np.full((480, 640, 3), 90, np.uint8)
    began = last = time.monotonic()
    while last < began + 60 * minutes:
        for picture, seconds in ((next(pictures), SHOWN_S), (empty, ABSENT_S)):
            run.show(picture)
            run.publish(rate_hz, seconds)
        now = time.monotonic()
        if now - last < ROW_S:
            continue
        latencies, run.latencies = run.latencies, []
        p50, p99 = np.percentile(latencies or [np.nan], (50, 99)) * 1e3
        spent, last = now - last, now
        row = (now - began) / 60, len(latencies) / spent, p50, p99, *state(pid), humans.count, (run.dropped or [0])[-1]
        run.faces.clear()
        del run.dropped[:-1]
        yield Row(*row)


def summary(rows: list[Row]) -> str:
    """What the rows come to."""
    warm = [row for row in rows if row.minute >= min(2.0, rows[-1].minute / 10)]
    slope = np.polyfit([row.minute / 60 for row in warm], [row.memory_mb for row in warm], 1)[0]
    third = max(1, len(warm) // 3)

    def middle(part: list[Row], name: str) -> float:
        return float(np.median([getattr(row, name) for row in part]))

    def ends(name: str) -> str:
        return f"{middle(warm[:third], name):.1f} at the beginning, {middle(warm[-third:], name):.1f} at the end"

    def span(name: str) -> str:
        values = [getattr(row, name) for row in warm]
        return f"{min(values)} to {max(values)}"

    return (
        f"{rows[-1].minute:.1f} minutes, {middle(warm, 'results_hz'):.1f} results a second, {rows[-1].ids} face ids, "
        f"{rows[-1].dropped} images dropped\n"
        f"memory: {slope:+.2f} MB an hour after the warm-up; {ends('memory_mb')} MB\n"
        f"p99 latency: {ends('p99_ms')} ms\n"
        f"file descriptors: {span('descriptors')}; threads: {span('threads')}"
    )


def plot(rows: list[Row], path: Path) -> None:
    """Memory, latency, descriptors and threads over the minutes."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    panels = (("memory_mb",), ("p50_ms", "p99_ms"), ("descriptors", "threads"))
    figure, axes = plt.subplots(len(panels), 1, sharex=True, figsize=(8, 7), layout="constrained")
    for axis, names in zip(axes, panels, strict=True):
        for name in names:
            axis.plot([row.minute for row in rows], [getattr(row, name) for row in rows], label=name)
        axis.set_ylim(0, 1.3 * max(getattr(row, name) for row in rows for name in names))
        axis.legend(loc="upper right", ncols=len(names))
    axes[-1].set_xlabel("minutes")
    figure.savefig(path, dpi=120)


def main() -> None:
    """Start the node, show faces, keep the rows, end the node."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=120.0, help="images a second")
    parser.add_argument("--output", type=Path, default=Path("soak"), help="of the table and the plot, without suffix")
    arguments = parser.parse_args()
    node = subprocess.Popen(node_command("dds", PARAMETERS), stdout=subprocess.DEVNULL)
    rows: list[Row] = []
    try:
        with DdsTransport("soak") as transport, arguments.output.with_suffix(".csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(field.name for field in fields(Row))
            run = Run(transport, np.full((480, 640, 3), 90, np.uint8))
            run.listen()
            humans = Humans(transport)
            for row in soak(run, humans, node.pid, arguments.rate, arguments.minutes):
                rows.append(row)
                table.writerow(f"{value:.2f}" if isinstance(value, float) else value for value in astuple(row))
                file.flush()
            run.close()
    finally:
        node.send_signal(signal.SIGINT)
        code = node.wait(60)
    print(summary(rows))
    print(f"exit code of the node: {code}")
    plot(rows, arguments.output.with_suffix(".png"))


if __name__ == "__main__":
    main()
