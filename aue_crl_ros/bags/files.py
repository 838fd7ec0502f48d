"""Reading rosbags, and writing one so that it is whole or not there. Importing this needs the package rosbags."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import struct
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import apsw
from rosbags.interfaces import (
    Connection,
    MessageDefinitionFormat,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, ReaderError, StoragePlugin, Writer, WriterError
from rosbags.typesys import Stores, TypesysError, get_types_from_idl, get_types_from_msg, get_typestore

from aue_crl_core.errors import BagError
from aue_crl_ros.messages.interfaces import typestore
from aue_crl_ros.transports.transport import Qos as TransportQos

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdError
else:
    from backports.zstd import ZstdError

SUFFIXES: Final = {".db3": "sqlite3", ".mcap": "mcap"}
"""Ending of a storage file -> name of its storage format."""
STORAGES: Final = {"sqlite3": StoragePlugin.SQLITE3, "mcap": StoragePlugin.MCAP}
"""Storage formats that can be written."""
_BAG_VERSION: Final = 8  # of the metadata: the last that holds QoS profiles as text, which Humble expects
_RULE: Final = "=" * 80 + "\n"
_IDL_PART: Final = f"{_RULE}IDL: "
_INFINITE: Final = QosTime(9223372036, 854775807)
DAMAGE: Final = (
    *(ReaderError, OSError, EOFError, apsw.Error, ZstdError, struct.error, AssertionError),
    *(ArithmeticError, LookupError, TypeError, ValueError, RuntimeError, MemoryError),
)
"""What rosbags raises on files that were cut or altered."""


@contextlib.contextmanager
def opened_bag(path: Path) -> Iterator[Reader]:
    """A bag to read: a folder with metadata.yaml, or one .mcap or .db3 file.

    Raises:
        BagError: it is something else, or not whole.
    """
    if path.suffix == ".bag":
        raise BagError(f"{path} is a bag of ROS 1; convert it first: rosbags-convert --src {path} --dst FOLDER")
    try:
        reader = Reader(path)
        reader.open()
    except DAMAGE as error:
        raise BagError(
            f"{path} must be a whole rosbag (a folder with metadata.yaml, a .mcap or a .db3 file), got: "
            f"{_line(error)}; `ros2 bag reindex` mends a recording that was cut off"
        ) from error
    try:
        yield reader
    finally:
        reader.close()


def messages_of(reader: Reader, connections: Sequence[Connection] = ()) -> Iterator[tuple[Connection, int, bytes]]:
    """Connection, timestamp (nanoseconds) and CDR of every message (of these connections), in the bag's order.

    Raises:
        BagError: the storage is damaged here.
    """
    messages = reader.messages(connections=connections)
    while True:
        try:
            message = next(messages)
        except StopIteration:
            return
        except DAMAGE as error:
            raise BagError(
                f"{reader.path} is damaged: {_line(error)}; mend it first (`ros2 bag reindex`, `mcap recover`)"
            ) from error
        yield message


@contextlib.contextmanager
def new_bag(target: Path, like: Reader, storage: str | None = None) -> Iterator[Writer]:
    """A bag to write, which gets its name when all is in it; after an error nothing is left.

    A target that ends in .mcap or .db3 becomes one file, else a folder. Storage format (None: by the target's ending),
    compression and custom data are as in `like` as far as the target's kind allows.

    Raises:
        BagError: it cannot be written.
    """
    storage = storage or SUFFIXES.get(target.suffix) or SUFFIXES[_parts(like)[0].path.suffix]
    single = target.suffix in SUFFIXES
    place: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".unfinished", dir=target.parent))
        folder = place / target.name
        writer = Writer(folder, version=_BAG_VERSION, storage_plugin=STORAGES[storage])
        writer.set_compression(_compression(like, storage, single), CompressionFormat.ZSTD)
        custom = like.storage.metadata.custom
        for key, value in custom.items() if isinstance(custom, dict) else ():
            writer.set_custom_data(key, value)
        with writer:
            yield writer
        whole = folder / f"{folder.name}{target.suffix}" if single else folder
        whole.rename(target)
    except (OSError, sqlite3.Error, WriterError) as error:
        raise BagError(f"{target} cannot be written: {_line(error)}") from error
    finally:
        if place is not None:
            shutil.rmtree(place, ignore_errors=True)


def copied_connections(writer: Writer, reader: Reader, notes: list[str]) -> dict[int, Connection]:
    """The reader's connections, with their types and QoS profiles, in the writer; by their id in the reader.

    Raises:
        BagError: a type's definition in the bag cannot be read.
    """
    copies: dict[int, Connection] = {}
    same: dict[tuple[str, str, str], Connection] = {}
    for c in reader.connections:
        key = (c.topic, c.msgtype, repr(c.ext))
        if key not in same:
            definition, digest = _definition(c, notes)
            same[key] = writer.add_connection(
                c.topic,
                c.msgtype,
                msgdef=definition,
                rihs01=digest,
                serialization_format=c.ext.serialization_format,
                offered_qos_profiles=c.ext.offered_qos_profiles,
            )
        copies[c.id] = same[key]
    return copies


def profile(qos: TransportQos) -> Qos:
    """rosbags' form of it."""
    return Qos(
        QosHistory.KEEP_LAST,
        qos.depth,
        QosReliability.RELIABLE if qos.reliable else QosReliability.BEST_EFFORT,
        QosDurability.TRANSIENT_LOCAL if qos.latched else QosDurability.VOLATILE,
        _INFINITE,
        _INFINITE,
        QosLiveliness.AUTOMATIC,
        _INFINITE,
        False,
    )


def _definition(connection: Connection, notes: list[str]) -> tuple[str, str]:
    """The text of a connection's type and its hash: its own where the bag has them, else those of ROS 2 Jazzy."""
    name, text, digest = connection.msgtype, connection.msgdef.data, connection.digest
    kind = connection.msgdef.format
    if kind == MessageDefinitionFormat.NONE and name in typestore().fielddefs:
        return typestore().generate_msgdef(name, ros_version=2)[0], typestore().hash_rihs01(name)
    if kind == MessageDefinitionFormat.NONE:
        notes.append(f"{connection.topic} is copied, though neither the bag nor ROS 2 Jazzy says what a {name} is")
        text, digest = "# not known to the bag that this was copied from", ""
    if digest and (kind == MessageDefinitionFormat.MSG or text.startswith(_IDL_PART)):
        return text, digest
    store = get_typestore(Stores.EMPTY)
    try:
        if kind != MessageDefinitionFormat.IDL:
            store.register(get_types_from_msg(text, name))
        elif text.startswith(_IDL_PART):
            for part in text.split(_RULE)[1:]:
                store.register(get_types_from_idl(part.split("\n", 1)[1]))
        else:
            store.register(get_types_from_idl(text))
            text = store.generate_msgdef(name, ros_version=2)[0]
        return text, store.hash_rihs01(name)
    except (TypesysError, KeyError) as error:
        raise BagError(f"{connection.topic}: the bag's definition of {name} cannot be read: {_line(error)}") from error


def _compression(like: Reader, storage: str, single: bool) -> CompressionMode:
    chunks = [chunk for part in _parts(like) for chunk in getattr(part, "chunks", ())]
    if storage == "mcap" and any(chunk.compression for chunk in chunks):
        return CompressionMode.STORAGE
    mode = (like.compression_mode or "").upper()
    return CompressionMode.NONE if single else CompressionMode.__members__.get(mode, CompressionMode.NONE)


def _parts(reader: Reader) -> list[Any]:
    """The storage files that a bag consists of."""
    return getattr(reader.storage, "storages", None) or [reader.storage]


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
