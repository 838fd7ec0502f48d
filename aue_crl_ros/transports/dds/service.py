"""A ROS 2 service on DDS, as rmw_cyclonedds speaks it: two topics, and a header that tells the callers apart.

Source: rmw_cyclonedds_cpp, `rmw_node.cpp` (`rmw_init_cs`, `rmw_send_response`) and `serdata.hpp` (the request header).
rmw_fastrtps puts the header elsewhere (in the RTPS message): its clients see the service and get no answer.
"""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from cyclonedds.core import DDSException, DDSStatus
from cyclonedds.internal import InvalidSample
from cyclonedds.pub import DataWriter
from cyclonedds.qos import Policy
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic
from rosbags.serde import SerdeError

from aue_crl_core.errors import AueCrlError
from aue_crl_ros.transports.dds.endpoints import TAKE, Connection, Endpoint, dds_qos
from aue_crl_ros.transports.dds.types import QOS_LOCK, join_response, split_request, user_data
from aue_crl_ros.transports.transport import Qos

_QOS: Final = Qos(reliable=True, depth=10)
_CLIENT_WAIT_S: Final = 0.1
_CLIENT_POLL_S: Final = 0.01
_CLOSE_S: Final = 2.0


class DdsService(Endpoint):
    """One service. Each request is handled on a thread of its own, so that a long one holds up nobody."""

    def __init__(self, transport: Connection, name: str, type_name: str, handler: Callable[[Any], Any]) -> None:
        super().__init__(transport, name, f"{type_name}_Request")
        self._response_type = f"{type_name}_Response"
        self._handler = handler
        self._calls: set[threading.Thread] = set()
        store, participant = transport.messages.store, transport.participant
        self._reply = transport.types.service(self._response_type)
        # By this id a client knows that the reader and the writer are of one service.
        identity = ".".join(f"{byte:x}" for byte in transport.next_service_id())
        announced = f"serviceid={identity};".encode()
        replies = Topic(participant, f"rr{name}Reply", self._reply)
        requests = Topic(participant, f"rq{name}Request", transport.types.service(self._type_name))
        with QOS_LOCK:
            self._writer = DataWriter(
                participant, replies, dds_qos(_QOS, announced + user_data(store, self._response_type))
            )
        self.entity = DataReader(participant, requests, dds_qos(_QOS, announced + user_data(store, self._type_name)))
        self.entity.set_status_mask(DDSStatus.DataAvailable)
        transport.graph.add(readers=(self.entity,), writers=(self._writer,))
        transport.attach(self)

    def poll(self) -> None:
        """Start a thread for each request that has arrived."""
        more = True
        while more:
            with self._lock:
                samples = [] if self._closed else self.entity.take(TAKE)
            more = len(samples) == TAKE
            for sample in samples:
                if not isinstance(sample, InvalidSample):
                    self._start(sample.data, sample.sample_info.publication_handle)

    def _start(self, data: bytes, client: int) -> None:
        try:
            caller, body = split_request(data)
            request = self._transport.messages.deserialize(self._type_name, body)
        except (struct.error, SerdeError, IndexError, OverflowError, MemoryError) as error:
            self.tell(
                "warn", "damaged", f"a request to {self.topic} is not a {self._type_name} and was dropped: {error}"
            )
            return
        call = threading.Thread(
            target=self._answer, args=(request, caller, client), name=f"service {self.topic}", daemon=True
        )
        with self._lock:
            self._calls.add(call)
        call.start()

    def _answer(self, request: Any, caller: tuple[int, int], client: int) -> None:
        try:
            response = self._handler(request)
            data = self._transport.messages.serialize(self._response_type, response)
            self._wait_for_client(client)
            with self._lock:
                if not self._closed:
                    self._writer.write(self._reply(join_response(caller, data)))
        except (AueCrlError, DDSException) as error:
            self._transport.log("error", f"a request to {self.topic} got no answer: {error}")
        finally:
            with self._lock:
                self._calls.discard(threading.current_thread())

    def _wait_for_client(self, client: int) -> None:
        """Until the caller's reader is matched: a client may ask before its other half has been discovered."""
        give_up = time.monotonic() + _CLIENT_WAIT_S
        while time.monotonic() < give_up:
            with self._lock, QOS_LOCK:
                if self._closed:
                    return
                wanted = _client_id(self.entity.get_matched_publication_data(client))
                handles = self._writer.get_matched_subscriptions()
                readers = [self._writer.get_matched_subscription_data(handle) for handle in handles]
            if wanted is None or any(_client_id(reader) == wanted for reader in readers):
                return
            time.sleep(_CLIENT_POLL_S)
        self._transport.log("warn", f"a caller of {self.topic} was not found again; the answer may be lost")

    def close(self) -> None:
        """Withdraw the service; calls that are under way have two seconds to end and are not answered."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            calls = tuple(self._calls)
        for call in calls:
            call.join(_CLOSE_S)
        self._transport.detach(self)
        self._transport.graph.remove(readers=(self.entity,), writers=(self._writer,))
        del self.entity, self._writer


def _client_id(endpoint: Any) -> bytes | None:
    """What rmw_cyclonedds wrote into the user data of a client's reader and writer."""
    if endpoint is None or Policy.Userdata not in endpoint.qos:
        return None
    pairs = (pair.partition(b"=") for pair in endpoint.qos[Policy.Userdata].data.split(b";"))
    return next((value for key, _, value in pairs if key == b"clientid"), None)
