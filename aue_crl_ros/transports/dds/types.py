"""The DDS data types of ROS 2 messages: XTypes information for cyclonedds, the bytes by rosbags.

cyclonedds' own (de)serialisation is pure Python and takes tens of milliseconds for an image; here a sample is the CDR
bytes themselves, and rosbags reads them as views.
"""

from __future__ import annotations

import struct
import threading
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Final, Literal

from cyclonedds.idl import IdlStruct, make_idl_struct, types
from rosbags.interfaces import Nodetype

from aue_crl_core.errors import ConfigError

if TYPE_CHECKING:
    from rosbags.typesys.store import Typestore

_BASE: Final[dict[str, Any]] = {
    "bool": bool,
    "byte": types.byte,
    "char": types.uint8,
    "int8": types.int8,
    "uint8": types.uint8,
    "int16": types.int16,
    "uint16": types.uint16,
    "int32": types.int32,
    "uint32": types.uint32,
    "int64": types.int64,
    "uint64": types.uint64,
    "float32": types.float32,
    "float64": types.float64,
}
QOS_LOCK: Final = threading.Lock()
"""Held while cyclonedds (11.0.1) reads a QoS, as in making a writer: it does so in variables that all threads share."""
_MOST: Final = {"received": 20, "written": 10}
"""Types of one message at a time, by what their topics are for. Together with the one in common they must stay below
33: cyclonedds (11.0.1) gives all types of a name one place in a hash table, and for the 33rd the table is doubled until
no memory is left."""
_CDR_HEADER: Final = 4
_REQUEST_HEADER: Final = struct.Struct("Qq")


Use = Literal["received", "written"]


class Sample:
    """One sample on the wire: `data`, CDR (XCDR1) with its header of 4 bytes.

    Decoding is left to the reader, so that a damaged sample does not take down those that arrived with it.
    """

    data: bytes

    def __init__(self, data: bytes) -> None:
        self.data = data

    def serialize(self, buffer: object = None, endianness: object = None, use_version_2: bool | None = None) -> bytes:
        """The bytes as they are: what `cyclonedds.pub.DataWriter.write` asks for."""
        return self.data

    @classmethod
    def deserialize(cls, data: bytes, has_header: bool = True, use_version_2: bool | None = None) -> Sample:
        """The bytes as they are: what `cyclonedds.sub.DataReader.take` asks for."""
        return cls(data)

    @classmethod
    def deserialize_key(cls, data: bytes, has_header: bool = True, use_version_2: bool | None = None) -> Sample:
        """No key: ROS topics have none."""
        return cls(b"")


_METHODS: Final = ("__init__", "serialize", "deserialize", "deserialize_key")


def dds_name(type_name: str) -> str:
    """`pkg/msg/Type` as rosidl names it on the wire: `pkg::msg::dds_::Type_`."""
    package, kind, name = type_name.split("/")
    return f"{package}::{kind}::dds_::{name}_"


class DataTypes:
    """cyclonedds data types made from a typestore's definitions.

    Each is for one topic at a time: where two topics share a Python type, cyclonedds (11.0.1) rewrites its descriptor
    while the first may be receiving. Nor does it ever let go of a type: `release` those whose topic is gone, and the
    next topic of the message gets them. Topics that are only written share one where there are many (see `_MOST`): it
    is written and rewritten under Python's lock, and each such topic leaves a few hundred bytes behind.
    """

    def __init__(self, store: Typestore) -> None:
        self.store = store
        self._nested: dict[str, type[IdlStruct]] = {}
        self._free: defaultdict[tuple[str, Use], list[type[IdlStruct]]] = defaultdict(list)
        self._made: Counter[tuple[str, Use]] = Counter()
        self._common: dict[str, type[IdlStruct]] = {}

    def message(self, type_name: str, use: Use) -> type[IdlStruct]:
        """A final struct of `pkg/msg/Type`, whose instances are `Sample`s, for a topic of that use.

        Raises:
            ConfigError: too many topics of this type are received.
        """
        if self._free[type_name, use]:
            return self._free[type_name, use].pop()
        if self._made[type_name, use] < _MOST[use]:
            self._made[type_name, use] += 1
            return self._sample_type(type_name, {})
        if use == "received":
            raise ConfigError(f"over DDS at most {_MOST[use]} topics of {type_name} can be listened to at a time")
        if type_name not in self._common:
            self._common[type_name] = self._sample_type(type_name, {})
        return self._common[type_name]

    def release(self, type_name: str, use: Use, made: type[IdlStruct]) -> None:
        """Take back what `message` gave; its topic must be deleted."""
        if made is not self._common.get(type_name):
            self._free[type_name, use].append(made)

    def service(self, type_name: str) -> type[IdlStruct]:
        """The same of `pkg/srv/Type_Request` or `_Response`, behind the header that rmw_cyclonedds puts before both."""
        return self._sample_type(type_name, {"guid": types.uint64, "seq": types.int64})

    def _sample_type(self, type_name: str, header: dict[str, Any]) -> type[IdlStruct]:
        made = self._struct(type_name, header)
        # As attributes: a base class would become a base type in the type information.
        for method in _METHODS:
            setattr(made, method, Sample.__dict__[method])
        return made

    def _struct(self, type_name: str, header: dict[str, Any]) -> type[IdlStruct]:
        fields = {name: self._field(description) for name, description in self.store.fielddefs[type_name][1]}
        name = type_name.rpartition("/")[2]
        return make_idl_struct(name, dds_name(type_name).replace("::", "."), header | fields, dataclassify=False)

    def _field(self, description: tuple[Nodetype, Any]) -> Any:
        kind, detail = description
        if kind is Nodetype.BASE:
            name, bound = detail
            if name == "string":
                return types.bounded_str[bound] if bound else str
            return _BASE[name]
        if kind is Nodetype.NAME:
            if detail not in self._nested:
                self._nested[detail] = self._struct(detail, {})
            return self._nested[detail]
        element, length = detail
        if kind is Nodetype.ARRAY:
            return types.array[self._field(element), length]
        return types.sequence[self._field(element), length] if length else types.sequence[self._field(element)]


def user_data(store: Typestore, type_name: str) -> bytes:
    """What ROS 2 since Iron announces in the user data of readers and writers: the type's RIHS01 hash (REP-2016)."""
    return f"typehash={store.hash_rihs01(type_name)};".encode()


def split_request(data: bytes) -> tuple[tuple[int, int], bytes]:
    """A service sample's bytes as ((client, sequence number), the message's own CDR).

    Raises:
        struct.error: it is too short to hold the header.
    """
    order = "<" if data[1:2] == b"\x01" else ">"
    client, sequence = struct.unpack_from(order + _REQUEST_HEADER.format, data, _CDR_HEADER)
    return (client, sequence), data[:_CDR_HEADER] + data[_CDR_HEADER + _REQUEST_HEADER.size :]


def join_response(request: tuple[int, int], data: bytes) -> bytes:
    """The bytes of a response to `request`: its header, then `data` without losing alignment (16 bytes, aligned 8)."""
    order = "<" if data[1:2] == b"\x01" else ">"
    return data[:_CDR_HEADER] + struct.pack(order + _REQUEST_HEADER.format, *request) + data[_CDR_HEADER:]
