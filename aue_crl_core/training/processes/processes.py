"""The processes of a run: torchrun starts them, each trains on its rows of every batch, the first alone writes.

Without torchrun a run is one process; it makes no process group, and every method here does nothing. Objects and CPU
tensors travel by gloo, CUDA tensors by NCCL.
"""

from __future__ import annotations

import inspect
import itertools
import os
import re
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from types import FrameType
from typing import Any, Final, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from aue_crl_core.errors import AueCrlError, ConfigError, TrainingError

T = TypeVar("T")

PATIENCE: Final = timedelta(minutes=30)
"""How long a process waits for one that is silent but not gone: a machine off the network, a very slow disk."""

_NETWORK: Final = re.compile(r"gloo|nccl|connection (closed|reset)|broken pipe", re.IGNORECASE)
_SYNC_BUFFERS: Final = next(
    name
    for name in ("forward_sync_buffers", "broadcast_buffers")  # torch 2.13 renamed it
    if name in inspect.signature(DistributedDataParallel).parameters
)
_groups: Final = itertools.count()
_LAUNCHED: Final = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


class _ToldToEnd(BaseException):
    """SIGTERM: what torchrun sends to the other processes of a host when one has ended."""


@dataclass(eq=False)
class Processes:
    """This process among those of the run.

    `rank` in [0, `world_size`), `local_rank` in [0, `local_world_size`) on its host; `device` is its own. `place` says
    what it is at, for the message of a run that is cut off.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1
    device: str = "cpu"
    place: str = "before the first stage"

    @classmethod
    def from_environment(cls, device: str, environment: Mapping[str, str] = os.environ) -> Processes:
        """What torchrun says, or one process; on `device` "cuda" each takes the GPU of its local rank.

        Raises:
            ConfigError: variables that torchrun sets are missing, a numbered GPU for several processes, or too few.
        """
        if "WORLD_SIZE" not in environment or "RANK" not in environment:
            return cls(device=device)
        missing = [name for name in _LAUNCHED if not environment.get(name, "").isdigit()]
        if missing:
            raise ConfigError(
                f"{', '.join(missing)} must be whole numbers in the environment, as torchrun sets them, got none; "
                "start with torchrun, or unset RANK and WORLD_SIZE to train in one process"
            )
        rank, world_size, local_rank, local_world_size = (int(environment[name]) for name in _LAUNCHED)
        if world_size > 1 and torch.device(device).type == "cuda":
            device = _own_gpu(device, local_rank, local_world_size)
        return cls(rank, world_size, local_rank, local_world_size, device)

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes and reports."""
        return self.rank == 0

    @property
    def is_first_here(self) -> bool:
        """Whether this is the first on its host."""
        return self.local_rank == 0

    @property
    def several(self) -> bool:
        """Whether there are others."""
        return self.world_size > 1

    @property
    def several_hosts(self) -> bool:
        """Whether some of them are on another host."""
        return self.world_size > self.local_world_size

    def check_batch_size(self, batch_size: int) -> None:
        """See that a batch can be shared out evenly.

        Raises:
            ConfigError: it cannot; the message names the nearest sizes.
        """
        if batch_size % self.world_size:
            below = batch_size // self.world_size * self.world_size
            sizes = " or ".join(str(size) for size in (below, below + self.world_size) if size)
            raise ConfigError(
                f"batch_size must be a multiple of the {self.world_size} processes that share it, got {batch_size}; "
                f"train with --batch-size {sizes}, or start another number of processes"
            )

    def rows(self, batch: Sequence[T]) -> Sequence[T]:
        """This process's part of a batch whose size is a multiple of `world_size`."""
        share = len(batch) // self.world_size
        return batch[self.rank * share : (self.rank + 1) * share]

    def on_first(self, make: Callable[[], T]) -> T | None:
        """What `make` returns in the first process; None in the others, which do not call it.

        Raises:
            TrainingError: in the others, where `make` raised an `AueCrlError` in the first, which raises that.
        """
        if not self.several:
            return make()
        if not self.is_first:
            if not self._from_first(None):
                raise TrainingError(f"process {self.rank} ends with process 0, whose message says why")
            return None
        try:
            value = make()
        except AueCrlError:
            self._from_first(False)
            raise
        self._from_first(True)
        return value

    def share(self, make: Callable[[], T]) -> T:
        """What `make` returns in the first process, in all of them. Raises as `on_first`."""
        value = self.on_first(make)
        return self._from_first(value) if self.several else value  # type: ignore[return-value]

    def share_tensors(self, make: Callable[[], tuple[T, dict[str, Tensor]]]) -> tuple[T, dict[str, Tensor]]:
        """`share` for a value with many or large CPU tensors, sent one by one."""
        made = self.on_first(make)
        if not self.several:
            return made  # type: ignore[return-value]
        value, forms = self._from_first(made and (made[0], [(n, t.shape, t.dtype) for n, t in made[1].items()]))
        tensors = made[1] if made else {name: torch.empty(shape, dtype=dtype) for name, shape, dtype in forms}
        self.copy_from_first(tensors.values())
        return value, tensors

    def copy_from_first(self, tensors: Iterable[Tensor]) -> None:
        """Fill tensors in place with those of the first process."""
        if self.several:
            for tensor in tensors:
                dist.broadcast(tensor.data, src=0)

    def gather(self, value: T) -> list[T]:
        """The values of all processes, in the order of their ranks."""
        values: list[T] = [value] * self.world_size
        if self.several:
            dist.all_gather_object(values, value)
        return values

    def mean(self, tensor: Tensor) -> Tensor:
        """The mean of all processes' tensors, without gradient."""
        tensor = tensor.detach()
        if self.several:
            tensor = tensor.clone()
            dist.all_reduce(tensor)
            tensor /= self.world_size
        return tensor

    def gather_rows(self, rows: Tensor) -> Tensor:
        """All processes' rows, BxD -> (`world_size` * B)xD, in the order of their ranks.

        With gradient, for a loss that every process computes of all rows: each gets `world_size` times that of its
        own rows, so that the average over the processes is the gradient of the loss, counted once.
        """
        return _GatherRows.apply(rows, self) if self.several else rows

    def wait(self) -> None:
        """Until all processes are here."""
        if self.several:
            dist.barrier()

    def average_gradients(self, module: nn.Module) -> nn.Module:
        """`module`, whose backward pass then averages gradients over the processes while it runs."""
        if not self.several:
            return module
        return DistributedDataParallel(module, gradient_as_bucket_view=True, **{_SYNC_BUFFERS: False})

    def _from_first(self, value: Any) -> Any:
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]


ALONE: Final = Processes()
"""One process, as most runs are."""


class _GatherRows(torch.autograd.Function):
    """See `Processes.gather_rows`."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, processes: Processes) -> Tensor:
        ctx.processes = processes
        parts = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(processes.world_size)]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.processes.rows(gradient) * ctx.processes.world_size, None


def launched_first() -> bool:
    """Whether this process is the one that reports, known before it joins the others."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """The processes of this run, in touch for as long as the block lasts; a process group that is there is used.

    Raises:
        ConfigError: see `Processes.from_environment`.
        TrainingError: another process is gone, or torchrun was told to end.
    """
    processes = Processes.from_environment(device)
    if not processes.several:
        yield processes
        return
    cuda = torch.device(processes.device).type == "cuda"
    if cuda:
        torch.cuda.set_device(processes.device)
    try:
        with _sigterm_raises(), nullcontext() if dist.is_initialized() else _group(cuda):
            yield processes
            processes.place = "after the last stage"
            processes.wait()
    except _ToldToEnd as error:
        raise _cut_off(
            processes, "was told to end (SIGTERM: another process ended, or torchrun was told to)"
        ) from error
    except AueCrlError:
        raise
    except RuntimeError as error:
        if not (isinstance(error, dist.DistError) or _NETWORK.search(str(error))):
            raise
        reason = str(error).strip().splitlines()[0]
        raise _cut_off(processes, f"lost contact with another one ({reason})") from error


@contextmanager
def _group(cuda: bool) -> Iterator[None]:
    """A process group of all that torchrun started. After a failure it is left to the end of the process: others that
    are gone cannot take leave."""
    store, rank, world_size = next(dist.rendezvous("env://", timeout=PATIENCE))
    own = dist.PrefixStore(f"aue-crl-{next(_groups)}", store)  # a second group must not read the first one's addresses
    backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
    dist.init_process_group(backend, store=own, rank=rank, world_size=world_size, timeout=PATIENCE)
    yield
    dist.destroy_process_group()


def _cut_off(processes: Processes, what: str) -> TrainingError:
    return TrainingError(
        f"process {processes.rank} of {processes.world_size} {what} {processes.place}; the epochs before are safe on "
        "disk: start again with --resume, with any number of processes"
    )


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """SIGTERM ends the block with `_ToldToEnd`. After a failure it is ignored: the process is ending by itself, and its
    message must still come out (torchrun kills a process that has not ended half a minute later)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise _ToldToEnd

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except BaseException:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise
    signal.signal(signal.SIGTERM, before)


def _own_gpu(device: str, local_rank: int, local_world_size: int) -> str:
    """The GPU of this process.

    Raises:
        ConfigError: a GPU was named, or there are fewer than processes on this host.
    """
    if device != "cuda":
        raise ConfigError(f"device must be cpu or cuda with several processes (each takes its own GPU), got {device!r}")
    count = torch.cuda.device_count()
    if count < local_world_size:
        raise ConfigError(
            f"device cuda must have a GPU for each of the {local_world_size} processes on this host, got {count}; "
            f"start with --nproc-per-node {max(count, 1)}, or train with --device cpu"
        )
    return f"cuda:{local_rank}"
