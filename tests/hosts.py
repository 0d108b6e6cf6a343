"""Hosts on networks of their own: namespaces of the kernel, with cables that can be pulled."""

import contextlib
import os
import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

_T = TypeVar("_T")


def unable() -> str:
    """Why there can be no such hosts here; empty if there can."""
    try:
        with network() as net, host() as probe:
            net.join(probe)
    except (OSError, subprocess.CalledProcessError) as error:
        told = getattr(error, "stderr", None) or str(error)
        return f"hosts need root, iproute2, bridges and network namespaces: {told}"
    return ""


@dataclass(frozen=True)
class Host:
    """A network namespace: programs behind ``prefix`` see its cables only."""

    name: str

    @property
    def prefix(self) -> list[str]:
        return ["ip", "netns", "exec", self.name]


@dataclass
class Network:
    """A switch, at which this process has the address ``address``."""

    bridge: str
    number: int
    cables: dict[str, str] = field(default_factory=dict)  # By the names of hosts.

    @property
    def address(self) -> str:
        return self._address(1)

    def join(self, host: Host) -> str:
        """Connect a host; its address."""
        end = f"{self.bridge}e{len(self.cables)}"
        cable = self.cables[host.name] = f"{self.bridge}c{len(self.cables)}"
        address = self._address(len(self.cables) + 1)
        _ip("link", "add", cable, "type", "veth", "peer", "name", end, "netns", host.name)
        _ip("-n", host.name, "addr", "add", f"{address}/24", "dev", end)
        _ip("-n", host.name, "link", "set", end, "up")
        _ip("link", "set", cable, "up", "master", self.bridge)
        return address

    @contextlib.contextmanager
    def cut(self, host: Host) -> Iterator[None]:
        """Lose all that goes to the host and comes from it, without a word."""
        cable = self.cables[host.name]
        _ip("link", "set", cable, "nomaster")
        try:
            yield
        finally:
            _ip("link", "set", cable, "master", self.bridge)

    def _address(self, last: int) -> str:
        return f"10.199.{self.number}.{last}"


@contextlib.contextmanager
def network() -> Iterator[Network]:
    known = _ip("-br", "link")
    numbers = [n for n in range(1, 255) if f"ocr{n} " not in known]
    number = random.SystemRandom().choice(numbers)
    net = Network(f"ocr{number}", number)
    _ip("link", "add", net.bridge, "type", "bridge")
    try:
        _ip("addr", "add", f"{net.address}/24", "dev", net.bridge)
        _ip("link", "set", net.bridge, "up")
        yield net
    finally:
        _ip("link", "del", net.bridge)


@contextlib.contextmanager
def host() -> Iterator[Host]:
    made = Host(f"ocr-{os.getpid()}-{random.SystemRandom().randrange(10**6)}")
    _ip("netns", "add", made.name)
    try:
        _ip("-n", made.name, "link", "set", "lo", "up")
        yield made
    finally:
        _ip("netns", "del", made.name)


class Service(Generic[_T]):
    """A server of the tests that goes, and comes again where it was."""

    def __init__(
        self, make: Callable[..., AbstractContextManager[_T]], port: int, host: str
    ) -> None:
        self._make = partial(make, port, host=host)
        self._running = ExitStack()

    def start(self) -> _T:
        return self._running.enter_context(self._make())

    def stop(self) -> None:
        self._running.close()


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
    return done.stdout
