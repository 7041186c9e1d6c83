# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The observer: notes which probes pass the interfaces of this host, echoes UDP."""

from __future__ import annotations

import ctypes
import os
import selectors
import socket
import struct
import time
from typing import Any, Sequence

from ansible_collections.tenantnet.wireguard.plugins.module_utils.probe_packets import (
    address_text,
    capture_filter,
    check_address,
    check_run,
    parse_initial,
    reply_payload,
)
from ansible_collections.tenantnet.wireguard.plugins.module_utils.probe_state import grow_buffer

MAX_SIGHTINGS = 200000

_ETH_P_ALL = 3
_SO_ATTACH_FILTER = 26
_SOL_PACKET = 263
_PACKET_STATISTICS = 6
_DIRECTIONS = {0: "in", 4: "out"}  # PACKET_HOST, PACKET_OUTGOING
_BUFFER_TOTAL = 64 << 20  # bytes, shared by all capturing sockets
_BATCH = 256  # packets read from one socket before the others have their turn
_LAST_BATCHES = 64


def open_capture(interface: str, marking: int, buffer_bytes: int) -> socket.socket:
    """Return a socket that receives marked packets of both directions, cooked.

    Raises OSError if there is no such interface.
    """
    program = capture_filter(marking)
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))
    # Protocol 0 receives nothing, so no packet slips in before the filter is there.
    capture = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0)
    try:
        capture.setsockopt(
            socket.SOL_SOCKET,
            _SO_ATTACH_FILTER,
            struct.pack("@HP", len(program), ctypes.addressof(code)),
        )
        grow_buffer(capture, buffer_bytes)
        capture.bind((interface, _ETH_P_ALL))
    except BaseException:
        capture.close()
        raise
    return capture


def open_echo(address: str, port: int) -> socket.socket:
    """Return a UDP socket on an address of this host.

    Raises OSError if the address is not ours or the port is taken.
    """
    family = socket.AF_INET if check_address(address)[0] == 4 else socket.AF_INET6
    echo = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        if family == socket.AF_INET6:
            echo.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        echo.bind((address, port))
    except BaseException:
        echo.close()
        raise
    return echo


class Observer:
    """Open sockets and the sightings so far; C(report) is the result."""

    def __init__(self, run: str, limit: int = MAX_SIGHTINGS) -> None:
        self.run = check_run(run)
        self.limit = limit
        self.overflow = False
        self.captures: list[tuple[str, socket.socket]] = []
        self.echoes: list[socket.socket] = []
        self.unwatched: list[dict[str, Any]] = []
        self.skipped: list[dict[str, Any]] = []
        self._seen: set[tuple[str, str, str, bytes, bytes, int]] = set()
        self._lost = 0

    def open(self, interfaces: Sequence[str], udp_echo: Sequence[dict[str, Any]], marking: int) -> None:
        """Open all sockets; what cannot be opened is listed, with the reason."""
        buffer_bytes = max(256 << 10, min(4 << 20, _BUFFER_TOTAL // max(1, len(interfaces))))
        for name in interfaces:
            try:
                self.captures.append((name, open_capture(name, marking, buffer_bytes)))
            except OSError as exc:
                self.unwatched.append({"interface": name, "reason": os.strerror(exc.errno or 0)})
        for item in udp_echo:
            try:
                self.echoes.append(open_echo(item["address"], item["port"]))
            except OSError as exc:
                self.skipped.append(dict(item, reason=os.strerror(exc.errno or 0)))

    def close(self) -> None:
        """Close all sockets."""
        for handle in [capture for _name, capture in self.captures] + self.echoes:
            handle.close()

    def note(self, interface: str, direction: str, packet: bytes) -> None:
        """Remember a packet if it begins a probe; too many set C(overflow)."""
        initial = parse_initial(packet, self.run)
        if initial is None:
            return
        protocol, source, destination, port = initial
        sighting = (interface, direction, protocol, source, destination, port)
        if len(self._seen) < self.limit or sighting in self._seen:
            self._seen.add(sighting)
        else:
            self.overflow = True

    def loop(self, until: float, stopped: Sequence[int]) -> None:
        """Receive until the monotonic clock reads C(until) or C(stopped) has content."""
        with selectors.DefaultSelector() as selector:
            for name, capture in self.captures:
                selector.register(capture, selectors.EVENT_READ, name)
            for echo in self.echoes:
                selector.register(echo, selectors.EVENT_READ)
            while not stopped:
                left = until - time.monotonic()
                if left <= 0:
                    break
                # A signal does not end the wait, so the wait is short.
                for key, _events in selector.select(min(left, 0.1)):
                    handle = key.fileobj
                    if not isinstance(handle, socket.socket):
                        continue
                    if key.data is None:
                        self._echo(handle)
                    else:
                        self._capture(handle, key.data)
            # What had arrived before the order to stop still counts.
            for name, capture in self.captures:
                for _turn in range(_LAST_BATCHES):
                    if not self._capture(capture, name):
                        break

    def _capture(self, handle: socket.socket, interface: str) -> bool:
        """Receive what is there; true if there may be more."""
        for _turn in range(_BATCH):
            try:
                packet, origin = handle.recvfrom(256)
            except OSError:
                # Empty, or the interface went down; the kernel reports that once.
                return False
            direction = _DIRECTIONS.get(origin[2])
            if direction is not None:
                self.note(interface, direction, packet)
        return True

    def _echo(self, handle: socket.socket) -> None:
        for _turn in range(_BATCH):
            try:
                payload, origin = handle.recvfrom(2048)
                answer = reply_payload(self.run, payload)
                if answer is not None:
                    handle.sendto(answer, origin)
            except OSError:
                return

    def report(self, ended: str) -> dict[str, Any]:
        """Return everything seen, sorted, as plain data."""
        for _name, capture in self.captures:
            counts = capture.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
            self._lost += struct.unpack("=II", counts)[1]
        sightings = [
            [
                interface,
                direction,
                4 if len(source) == 4 else 6,
                protocol,
                address_text(source),
                address_text(destination),
                port,
            ]
            for interface, direction, protocol, source, destination, port in sorted(self._seen)
        ]
        return {
            "ended": ended,
            "sightings": sightings,
            "overflow": self.overflow,
            "lost": self._lost,
        }
