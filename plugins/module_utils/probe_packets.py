# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The form of probes on the wire: payloads, parsing, the capture filter.

Everything here is a pure function of its arguments; sockets are opened by
C(probe_send) and C(probe_observe).
"""

from __future__ import annotations

import ipaddress
import re
import socket
import struct
from typing import NamedTuple

DEFAULT_MARKING = 43
"""DSCP value that probes carry; 43 belongs to no standard class."""

ETH_P_IP = 0x0800
ETH_P_IPV6 = 0x86DD

PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1}

_ICMP_V6 = 58
_REQUEST = b"tenantnet probe "
_REPLY = b"tenantnet reply "
_RUN = re.compile(r"[0-9a-f]{16}")
_INTERFACE = re.compile(r"[A-Za-z0-9_=+.-]{1,15}")

_TCP_SYN = 0x02
_TCP_ACK = 0x10

# Answers that carry (identifier, sequence number) or the rejected packet.
_ECHO = {4: (8, 0), 6: (128, 129)}

# Packet Too Big and Fragmentation Needed are left out on purpose: they ask the
# sender to try again and so are no verdict.
_ERRORS = {4: (3, 11, 12), 6: (1, 3, 4)}
_FRAGMENTATION_NEEDED = (4, 3, 4)
_PORT_UNREACHABLE = {4: (3, 3), 6: (1, 4)}

_MEANINGS = {
    (4, 3, 0): "network unreachable",
    (4, 3, 1): "host unreachable",
    (4, 3, 2): "protocol unreachable",
    (4, 3, 3): "port unreachable",
    (4, 3, 9): "network administratively prohibited",
    (4, 3, 10): "host administratively prohibited",
    (4, 3, 13): "communication administratively prohibited",
    (4, 11, 0): "time to live exceeded",
    (6, 1, 0): "no route to destination",
    (6, 1, 1): "communication administratively prohibited",
    (6, 1, 3): "address unreachable",
    (6, 1, 4): "port unreachable",
    (6, 1, 5): "source address failed policy",
    (6, 1, 6): "reject route to destination",
    (6, 3, 0): "hop limit exceeded",
}


class ProbeError(Exception):
    """Probing could not be done or undone; the text says why."""


class Initial(NamedTuple):
    """The first packet of a probe, as seen on an interface.

    C(source) and C(destination) are 4 or 16 bytes; C(port) is the destination
    port, 0 for ICMP.
    """

    protocol: str
    source: bytes
    destination: bytes
    port: int


class FlowKey(NamedTuple):
    """What a probe and the answer to it have in common.

    For ICMP the ports are the identifier and the sequence number.
    """

    protocol: str
    remote: bytes
    local_port: int
    remote_port: int


class IcmpAnswer(NamedTuple):
    """An ICMP message about one of our packets.

    C(error) is none for an echo reply, else (type, code). C(local) is true
    where the message quotes a packet whose source is the message's own sender:
    then no network was involved, the sending host itself refused.
    """

    key: FlowKey
    error: tuple[int, int] | None
    local: bool
    payload: bytes


def check_run(run: str) -> str:
    """Return the run's id, 16 hexadecimal characters in lower case.

    Raises ProbeError for anything else: the id becomes part of file names.
    """
    if not _RUN.fullmatch(run):
        raise ProbeError(f"run {run!r} is not made of 16 hexadecimal characters")
    return run


def check_interface(name: str) -> str:
    """Return the interface's name; raises ProbeError unless it can be one.

    A name becomes part of file names and an argument of C(ip) and C(wg).
    """
    if not _INTERFACE.fullmatch(name) or name in (".", "..") or name.startswith("-"):
        raise ProbeError(f"interface {name!r} is not a name of an interface")
    return name


def check_marking(marking: int) -> int:
    """Return the DSCP value (0 to 63); raises ProbeError for any other."""
    if not 0 <= marking <= 63:
        raise ProbeError(f"marking {marking} is not a DSCP value (0 to 63)")
    return marking


def check_address(text: str) -> tuple[int, bytes]:
    """Return the family (4 or 6) and the packed form of an address.

    Raises ProbeError for text that is not an address, and for multicast and
    unspecified addresses, which no single host can answer for.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError as exc:
        raise ProbeError(f"{text!r} is not an IP address") from exc
    if address.is_multicast or address.is_unspecified or "%" in text:
        raise ProbeError(f"{text} is not the address of a single host")
    return address.version, address.packed


def address_text(packed: bytes) -> str:
    """Return the usual text of a packed address of either family."""
    return str(ipaddress.ip_address(packed))


def request_payload(run: str, number: int) -> bytes:
    """Return what a UDP or ICMP probe carries: a fixed word, the run, a number."""
    return _REQUEST + run.encode("ascii") + b" %d" % number


def reply_payload(run: str, payload: bytes) -> bytes | None:
    """Return the echo of a probe's payload, or none if it is not one of this run.

    The echo differs from the request, so two observers that are tricked into
    talking to each other fall silent after one packet.
    """
    request = _REQUEST + run.encode("ascii")
    if not payload.startswith(request):
        return None
    return payload.replace(_REQUEST, _REPLY, 1)


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071) of the data."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def echo_request(family: int, identifier: int, sequence: int, payload: bytes) -> bytes:
    """Return an ICMP or ICMPv6 echo request.

    The checksum of ICMPv6 covers addresses; the kernel fills it in.
    """
    kind = _ECHO[family][0]
    message = struct.pack("!BBHHH", kind, 0, 0, identifier, sequence) + payload
    if family == 4:
        message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
    return message


def _upper_layer(packet: bytes) -> tuple[int, int, int, int, int] | None:
    """Return family, protocol number, where its header starts, and where source
    and destination start; none for fragments, other families and cut packets."""
    if not packet:
        return None
    if packet[0] >> 4 == 4 and len(packet) >= 20:
        start = (packet[0] & 0x0F) * 4
        if start < 20 or struct.unpack_from("!H", packet, 6)[0] & 0x1FFF:
            return None
        return 4, packet[9], start, 12, 16
    if packet[0] >> 4 == 6 and len(packet) >= 40:
        return 6, packet[6], 40, 8, 24
    return None


def parse_initial(packet: bytes, run: str) -> Initial | None:
    """Return the probe that this packet begins, or none if it begins none.

    C(packet) starts with its IP header. It begins a probe if it is a TCP SYN
    without ACK, or UDP or an ICMP echo request that carries the run's id. A SYN
    has no room for an id: there the capture filter's marking must do.
    """
    layer = _upper_layer(packet)
    if layer is None:
        return None
    family, number, start, source, destination = layer
    size = destination - source
    ends = packet[source:destination], packet[destination:][:size]
    body = packet[start:]
    if number == PROTOCOLS["tcp"]:
        if len(body) < 14 or body[13] & (_TCP_SYN | _TCP_ACK) != _TCP_SYN:
            return None
        return Initial("tcp", ends[0], ends[1], struct.unpack_from("!H", body, 2)[0])
    if len(body) < 8:
        return None
    mine = body[8:].startswith(_REQUEST + run.encode("ascii"))
    if number == PROTOCOLS["udp"] and mine:
        return Initial("udp", ends[0], ends[1], struct.unpack_from("!H", body, 2)[0])
    if number == (_ICMP_V6 if family == 6 else 1) and mine and body[0] == _ECHO[family][0]:
        return Initial("icmp", ends[0], ends[1], 0)
    return None


def _quoted_flow(packet: bytes) -> tuple[FlowKey, bytes] | None:
    """Return the flow of a packet of ours that an ICMP error quotes, and its source."""
    layer = _upper_layer(packet)
    if layer is None:
        return None
    family, number, start, source, destination = layer
    remote = packet[destination:][: destination - source]
    body = packet[start:][:8]
    if len(body) < 8:
        return None
    if number == (_ICMP_V6 if family == 6 else 1):
        if body[0] != _ECHO[family][0]:
            return None
        key = FlowKey("icmp", remote, *struct.unpack_from("!HH", body, 4))
    elif number in (PROTOCOLS["tcp"], PROTOCOLS["udp"]):
        name = "tcp" if number == PROTOCOLS["tcp"] else "udp"
        key = FlowKey(name, remote, *struct.unpack_from("!HH", body, 0))
    else:
        return None
    return key, packet[source:destination]


def parse_icmp(family: int, message: bytes, sender: bytes) -> IcmpAnswer | None:
    """Return what an ICMP message says about a flow of ours, or none.

    C(message) starts with the ICMP header, C(sender) is the packed address that
    the message came from. Only echo replies and final errors are answers.
    """
    if len(message) < 8:
        return None
    kind, code = message[0], message[1]
    if kind == _ECHO[family][1]:
        key = FlowKey("icmp", sender, *struct.unpack_from("!HH", message, 4))
        return IcmpAnswer(key, None, False, message[8:])
    if kind not in _ERRORS[family] or (family, kind, code) == _FRAGMENTATION_NEEDED:
        return None
    quoted = _quoted_flow(message[8:])
    if quoted is None:
        return None
    return IcmpAnswer(quoted[0], (kind, code), quoted[1] == sender, b"")


def describe_error(family: int, error: tuple[int, int]) -> str:
    """Return an ICMP error in words and numbers."""
    meaning = _MEANINGS.get((family, *error), "rejected")
    return f"{meaning} (type {error[0]} code {error[1]})"


def is_port_unreachable(family: int, error: tuple[int, int]) -> bool:
    """Tell whether an ICMP error says that no socket listens at the port."""
    return error == _PORT_UNREACHABLE[family]


def icmp_type_filter(family: int) -> tuple[int, int, bytes]:
    """Return the arguments of setsockopt that limit a raw ICMP socket to answers."""
    wanted = _ERRORS[family] + (_ECHO[family][1],)
    words = [0xFFFFFFFF] * (1 if family == 4 else 8)
    for kind in wanted:
        words[kind // 32] &= ~(1 << kind % 32)
    packed = struct.pack(f"={len(words)}I", *words)
    # ICMP_FILTER at SOL_RAW, and ICMP6_FILTER; Python has no names for them.
    return (255, 1, packed) if family == 4 else (socket.IPPROTO_ICMPV6, 1, packed)


def capture_filter(marking: int) -> list[tuple[int, int, int, int]]:
    """Return a classic BPF program that passes only packets with this DSCP value.

    Each instruction is (code, jump if true, jump if false, constant). It is for
    cooked packet sockets, where the packet starts with its IP header in both
    directions. The two ECN bits are masked off: routers may set them.
    """
    load_half, load_byte, shift_right, bitwise_and = 0x28, 0x30, 0x74, 0x54
    jump, jump_if_equal, give = 0x05, 0x15, 0x06
    protocol_of_packet = 0xFFFFF000  # SKF_AD_OFF + SKF_AD_PROTOCOL
    return [
        (load_half, 0, 0, protocol_of_packet),
        (jump_if_equal, 0, 2, ETH_P_IP),
        (load_byte, 0, 0, 1),
        (jump, 0, 0, 3),
        (jump_if_equal, 0, 5, ETH_P_IPV6),
        (load_half, 0, 0, 0),
        (shift_right, 0, 0, 4),
        (bitwise_and, 0, 0, 0xFC),
        (jump_if_equal, 0, 1, check_marking(marking) << 2),
        (give, 0, 0, 0xFFFF),
        (give, 0, 0, 0),
    ]
