"""Coverage-guided fuzzing of every place where foreign bytes come in, by hand: what comes out is a result or our error.

    pip install atheris
    python test/fuzz.py --runs 100000                      # all targets, one after another, and a table of counts
    python test/fuzz.py --runs 100000 --only picture yaml
    python test/fuzz.py --target yaml --replay FILE        # one input again, with its traceback

Each target runs in a process of its own under libFuzzer (atheris), which begins with small real inputs and keeps what
reaches new code. A target fails on an error of another kind, on an input that takes longer than a second or 1 GB, and
on a crash of the process; the input is kept in OUTPUT (by default `fuzz/`). The exit code is 1 then.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PORTRAIT = Path(__file__).parent / "data" / "portrait.jpg"
SECONDS_AT_MOST = 1
MEGABYTES_AT_MOST = 1024
SCRATCH = "AUE_CRL_FUZZ_SCRATCH"
IN_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Target:
    """`read` takes the bytes and returns, or raises one of `errors`; it is called with each of `seeds` first."""

    read: Callable[[bytes], object]
    errors: tuple[type[Exception], ...]
    seeds: tuple[bytes, ...]


SLOW = {"heif": 10, "mcap": 10, "sqlite": 10}
"""Targets that take so many times as long as others: they get so many times fewer inputs."""


@cache
def scratch() -> Path:
    """A folder for the files that readers of files read; `run` names one and removes it, for libFuzzer just ends."""
    return Path(os.environ.get(SCRATCH) or tempfile.mkdtemp(prefix="aue_crl_fuzz"))


def file(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """`read` of a file of that name with the given content."""
    path = scratch() / name

    def through(data: bytes) -> object:
        path.write_bytes(data)
        return read(path)

    return through


def pictures() -> tuple[bytes, ...]:
    """Small pictures of each format that is read."""
    import cv2
    import numpy as np

    pixels = np.arange(9 * 8 * 3, dtype=np.uint8).reshape(9, 8, 3)
    found = [cv2.imencode(suffix, pixels)[1].tobytes() for suffix in (".png", ".jpg", ".bmp", ".webp", ".tiff", ".ppm")]
    gif = b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\1\0\1\0\0\2\2D\1\0;"
    return (*found, gif, cv2.imencode(".tiff", pixels.astype(np.float32))[1].tobytes())


def picture() -> Target:
    """A file of a picture."""
    import cv2

    from aue_crl_core.errors import ImageError
    from aue_crl_core.media.reading.decoding import decode_image

    return Target(lambda data: decode_image(data, cv2.IMREAD_COLOR, "fuzz"), (ImageError,), pictures())


def heif() -> Target:
    """A HEIC or AVIF file; only its boxes are likely to be reached, its pixels are another library's."""
    from aue_crl_core.errors import ImageError
    from aue_crl_core.media.reading.decoding import decode_heif

    seed = PORTRAIT.with_suffix(".heic").read_bytes()
    return Target(lambda data: decode_heif(data, "fuzz"), (ImageError,), (seed, seed[:1024]))


def compressed_message() -> Target:
    """`sensor_msgs/CompressedImage`: the format's text, a zero byte, the data."""
    from aue_crl_core.errors import ImageError
    from aue_crl_ros.messages.image_decoding import compressed_image

    def read(data: bytes) -> object:
        text, _, content = data.partition(b"\0")
        return compressed_image(text.decode("utf-8", "replace"), content)

    formats = (b"bayer_rggb8; x", b"bayer_bggr16; png compressed ", b"jpeg", b"", b"rgb8; jpeg compressed bgr8")
    seeds = tuple(text + b"\0" + data for text in formats for data in pictures())
    return Target(read, (ImageError,), seeds)


def raw_message() -> Target:
    """`sensor_msgs/Image`: encoding, height, width, step and data, one after another."""
    from aue_crl_core.errors import ImageError
    from aue_crl_ros.messages.image_decoding import raw_image

    def read(data: bytes) -> object:
        encoding, _, rest = data.partition(b"\0")
        numbers, content = rest[:13].ljust(13, b"\0"), rest[13:]
        height, width, step = (int.from_bytes(numbers[i : i + 4], "little") for i in (0, 4, 8))
        return raw_image(encoding.decode("utf-8", "replace"), height, width, step, bool(numbers[12]), content)

    def seed(encoding: bytes, bytes_a_pixel: int) -> bytes:
        sizes = b"".join(n.to_bytes(4, "little") for n in (4, 4, 4 * bytes_a_pixel))
        return encoding + b"\0" + sizes + b"\0" + bytes(16 * bytes_a_pixel)

    kinds = ((b"rgb8", 3), (b"bgra8", 4), (b"mono16", 2), (b"bayer_grbg8", 1), (b"yuv422_yuy2", 2), (b"uyvy", 2))
    return Target(read, (ImageError,), tuple(seed(*kind) for kind in kinds))


def sample() -> Target:
    """A sample of a DDS peer: which type, then CDR."""
    import numpy as np
    from rosbags.serde import SerdeError

    from aue_crl_ros.messages import conversions
    from aue_crl_ros.messages.interfaces import StoreMessages

    messages = StoreMessages()
    pixels = np.arange(48, dtype=np.uint8)
    header = conversions.header(messages, 1_700_000_000 * 10**9, "eye")
    boxed = {"header": header, "xmin": 0.1, "ymin": 0.2, "xmax": 0.3, "ymax": 0.4, "c": 1.0}
    samples = {
        "sensor_msgs/msg/Image": {
            "header": header,
            "height": 4,
            "width": 4,
            "encoding": "rgb8",
            "is_bigendian": 0,
            "step": 12,
            "data": pixels,
        },
        "sensor_msgs/msg/CompressedImage": {"header": header, "format": "jpeg", "data": pixels},
        "hri_msgs/msg/IdsList": {"header": header, "ids": ["f1", "f2"]},
        "hri_msgs/msg/NormalizedRegionOfInterest2D": boxed,
        "std_msgs/msg/String": {"data": "a"},
    }
    names = list(samples)
    seeds = tuple(
        bytes([i]) + bytes(messages.serialize(name, messages.new(name, **fields)))
        for i, (name, fields) in enumerate(samples.items())
    )

    def read(data: bytes) -> object:
        return messages.deserialize(names[data[0] % len(names)], data[1:]) if data else None

    # What the node's endpoint passes over (aue_crl_ros/transports/dds/endpoints.py).
    errors = (SerdeError, IndexError, OverflowError, MemoryError)
    return Target(read, errors, seeds)


def checkpoint() -> Target:
    """What is read of a checkpoint before its tensors are."""
    import torch

    from aue_crl_core.checkpoint import read_info
    from aue_crl_core.checkpoint.file import METADATA_KEY, CheckpointInfo, write_tensors
    from aue_crl_core.config import model_config
    from aue_crl_core.errors import CheckpointError

    path = scratch() / "seed.safetensors"
    config = model_config("edge")
    info = CheckpointInfo(config, classes=config.expressions)
    write_tensors(path, {"a": torch.zeros(2)}, {METADATA_KEY: info.to_json()})
    return Target(file("fuzz.safetensors", read_info), (CheckpointError,), (path.read_bytes(),))


def yaml() -> Target:
    """A file of parameters for the node."""
    from aue_crl_core.errors import ConfigError
    from aue_crl_ros.parameters.file import load, render

    seeds = (render().encode(), b"/**:\n  ros__parameters:\n    smoothing_s: 1\n    image_topics: [a, b]\n")
    return Target(file("fuzz.yaml", lambda path: load(path, "aue_crl")), (ConfigError,), seeds)


def table() -> Target:
    """A CSV table of faces to train on."""
    from aue_crl_core.data.tables import read_csv
    from aue_crl_core.errors import DatasetError

    seeds = (
        b"image,label,x,y,w,h,AU1,split\na.jpg,happiness,1,2,30,40,1,train\n",
        b'image,votes,box\n"a b.jpg",0 1 0 3 0 0 0,1 2 3 4\n',
    )
    return Target(file("fuzz.csv", lambda path: list(read_csv(path))), (DatasetError,), seeds)


def parquet() -> Target:
    """An index."""
    from aue_crl_core.data.index import DatasetIndex, Record
    from aue_crl_core.errors import DatasetError

    path = scratch() / "seed.parquet"
    DatasetIndex("table", "basic", scratch(), (Record("a.jpg", "train", label=3),)).write(path)
    return Target(file("fuzz.parquet", DatasetIndex.read), (DatasetError,), (path.read_bytes(),))


def annotations() -> Target:
    """Text files of the datasets: rows of FER+, points, lists of images, AUs as coders see them."""
    from aue_crl_core.data.annotations import read_ids, read_points, read_rows
    from aue_crl_core.data.au_labels import read_codes
    from aue_crl_core.errors import DatasetError

    def read(path: Path) -> None:
        for reader in (lambda path: list(read_rows(path)), read_points, read_ids, read_codes):
            with suppress(DatasetError):
                reader(path)

    points = "\n".join(f"{i} {i}.5" for i in range(68)).encode()
    codes = b"image,AU1,AU4\na.jpg,1,0.5\n"
    return Target(
        file("fuzz.txt", read), (DatasetError,), (points, b"a/0001\nb/2\n", b'a,"(0, 0, 48, 48)",4,0\n', codes)
    )


def recording() -> Target:
    """What `run` wrote, read for a report."""
    from aue_crl_core.errors import DatasetError
    from aue_crl_core.recordings.reading import read_recording

    place = scratch() / "out.jsonl"
    command = [sys.executable, "-m", "aue_crl_core", "run", str(PORTRAIT), "--output", str(place)]
    subprocess.run(command, check=True, capture_output=True)
    return Target(file("fuzz.jsonl", read_recording), (DatasetError,), (place.read_bytes(),))


def result_table(suffix: str) -> Target:
    """A table that `run` wrote, read for a report, with all columns that there can be."""
    from aue_crl_core.errors import DatasetError
    from aue_crl_core.recordings.reading import read_recording

    place = scratch() / f"out.{suffix}"
    command = [sys.executable, "-m", "aue_crl_core", "run", str(PORTRAIT), "--output", str(place)]
    subprocess.run([*command, "--every-frame", "--sides"], check=True, capture_output=True)
    return Target(file(f"fuzz.{suffix}", read_recording), (DatasetError,), (place.read_bytes(),))


def result_csv() -> Target:
    """A CSV table that `run` wrote."""
    return result_table("csv")


def result_parquet() -> Target:
    """A Parquet table that `run` wrote."""
    return result_table("parquet")


def bag(storage: str, metadata: bool = False) -> Target:
    """The file of a rosbag beside its metadata, or the metadata beside the file."""
    from aue_crl_core.errors import BagError
    from aue_crl_ros.bags.files import messages_of, opened_bag

    sys.path.insert(0, str(Path(__file__).parent / "ros" / "bags"))
    from sample_bags import MESSAGES, START, write

    notes = [(START, MESSAGES.new("std_msgs/msg/String", data="a"))]
    folder = write(scratch() / storage, {"/notes": ("std_msgs/msg/String", notes)}, storage)
    (content,) = (path for path in folder.iterdir() if (path.suffix == ".yaml") == metadata)
    seed = content.read_bytes()

    def read(data: bytes) -> None:
        content.write_bytes(data)
        with opened_bag(folder) as reader:
            for _ in messages_of(reader):
                pass

    return Target(read, (BagError,), (seed,))


def mcap() -> Target:
    """A rosbag as MCAP."""
    return bag("mcap")


def sqlite() -> Target:
    """A rosbag as SQLite."""
    return bag("sqlite3")


def bag_metadata() -> Target:
    """What a rosbag's metadata.yaml says of it."""
    return bag("sqlite3", metadata=True)


TARGETS: dict[str, Callable[[], Target]] = {
    made.__name__: made
    for made in (
        *(picture, heif, compressed_message, raw_message, sample, checkpoint, yaml, table, parquet, annotations),
        *(recording, result_csv, result_parquet, mcap, sqlite, bag_metadata),
    )
}


def fuzz(name: str, options: list[str]) -> None:
    """Run one target in this process; libFuzzer ends it."""
    import atheris

    with atheris.instrument_imports(include=["aue_crl_core", "aue_crl_ros", "rosbags", "yaml"]):
        target = TARGETS[name]()
    for seed in target.seeds:
        with suppress(target.errors):
            target.read(seed)
            break
    else:
        raise SystemExit(f"{name}: all seeds are refused, so nothing behind the refusal would be tried")
    corpus = Path(tempfile.mkdtemp(dir=scratch()))
    for i, seed in enumerate(target.seeds):
        (corpus / f"{i:03}").write_bytes(seed)

    def once(data: bytes) -> None:
        with suppress(target.errors):
            target.read(data)

    atheris.Setup([sys.argv[0], *options, str(corpus)], once)
    atheris.Fuzz()


def run(name: str, runs: int, output: Path) -> tuple[bool, str]:
    """One target in a process of its own: whether it held, and its row of the table."""
    output.mkdir(parents=True, exist_ok=True)
    limits = [f"-runs={runs}", f"-timeout={10 * SECONDS_AT_MOST}", f"-rss_limit_mb={MEGABYTES_AT_MOST}"]
    limits += [
        "-print_final_stats=1",
        "-max_len=32768",
        "-len_control=0",
        "-seed=1",
        f"-artifact_prefix={output}/{name}-",
    ]
    command = [sys.executable, __file__, "--target", name, *(f"--libfuzzer={limit}" for limit in limits)]
    memory_disk = IN_MEMORY if IN_MEMORY.is_dir() else None
    with (output / f"{name}.log").open("wb") as log, tempfile.TemporaryDirectory(dir=memory_disk) as folder:
        code = subprocess.run(command, stdout=log, stderr=log, env=os.environ | {SCRATCH: folder}).returncode
    text = (output / f"{name}.log").read_text(errors="replace")
    stats = {key: int(value) for key, value in re.findall(r"stat::(\w+):\s+(\d+)", text)}
    memory = [int(value) for value in re.findall(r"rss: (\d+)Mb", text)]
    slowest = stats.get("slowest_unit_time_sec", 0)
    held = code == 0 and slowest <= SECONDS_AT_MOST
    counts = [f"{stats.get(key, 0):,}" for key in ("number_of_executed_units", "average_exec_per_sec")]
    megabytes = [memory[len(memory) // 2], memory[-1]] if memory else [0, 0]
    return held, row_of(name, *counts, slowest, *megabytes, "yes" if held else f"no ({code})")


def row_of(*cells: object) -> str:
    """A row of a table in Markdown."""
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--only", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--output", type=Path, default=Path("fuzz"))
    parser.add_argument("--target", choices=TARGETS, help="run this one here")
    parser.add_argument("--replay", type=Path, help="with --target: read this file once")
    parser.add_argument("--libfuzzer", action="append", default=[], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.target and arguments.replay:
        target = TARGETS[arguments.target]()
        print(target.read(arguments.replay.read_bytes()))
        return
    if arguments.target:
        fuzz(arguments.target, arguments.libfuzzer)
        return
    print(row_of("boundary", "inputs", "a second", "slowest, s", "memory half way, MB", "at the end", "held"))
    print("|---|---:|---:|---:|---:|---:|---|")
    everything = True
    for name in arguments.only:
        held, row = run(name, arguments.runs // SLOW.get(name, 1), arguments.output)
        everything &= held
        print(row, flush=True)
    raise SystemExit(0 if everything else 1)


if __name__ == "__main__":
    main()
