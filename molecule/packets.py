# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the lab's hosts: sends packets that no honest host would, and watches for them. Standard library only.

    packets.py send INTERFACE KIND SOURCE DESTINATION MARKER [OPTION=VALUE ...]
    packets.py watch INTERFACE MARKER SECONDS

Packets leave by the link itself, past the host's own routing and firewall. The watcher prints each packet with the
marker in it: source, destination, and how the packet left the link.
"""

import ipaddress
import select
import socket
import struct
import sys
import time

PROTOCOLS = {4: 0x0800, 6: 0x86DD}


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def over(source, destination, protocol, payload, place):
    """Put the checksum of a transport header, which also covers the addresses, in its place."""
    pseudo = source.packed + destination.packed + struct.pack("!II", len(payload), protocol)
    value = checksum(pseudo + payload) or 0xFFFF
    return payload[:place] + struct.pack("!H", value) + payload[place + 2 :]


def transport(kind, source, destination, marker, options):
    """Return a protocol number and what follows the IP header."""
    port = int(options.get("port", 4444))
    if kind == "udp":
        return 17, over(source, destination, 17, struct.pack("!HHHH", 33333, port, 8 + len(marker), 0) + marker, 6)
    if kind == "syn":
        header = struct.pack("!HHIIBBHHH", 33333, port, 1, 0, 5 << 4, 2, 1024, 0, 0)
        return 6, over(source, destination, 6, header + marker, 16)
    if kind == "echo":
        if source.version == 6:
            return 58, over(source, destination, 58, struct.pack("!BBHHH", 128, 0, 0, 7, 1) + marker, 2)
        body = struct.pack("!BBHHH", 8, 0, 0, 7, 1) + marker
        return 1, body[:2] + struct.pack("!H", checksum(body)) + body[4:]
    if kind == "redirect":
        # "Send what you have for `for` through `gateway`", with the head of a packet that the victim might have sent.
        gateway, target = (ipaddress.ip_address(options[key]) for key in ("gateway", "for"))
        victim = ipaddress.ip_address(options.get("quoted", str(destination)))
        if source.version == 4:
            quoted = header4(victim, target, 1, struct.pack("!BBHHH", 8, 0, 0, 7, 1), b"", 0, 0)
            body = struct.pack("!BBH4s", 5, 1, 0, gateway.packed) + quoted + marker
            return 1, body[:2] + struct.pack("!H", checksum(body)) + body[4:]
        body = struct.pack("!BBHI16s16s", 137, 0, 0, 0, gateway.packed, target.packed) + marker
        return 58, over(source, destination, 58, body, 2)
    if kind == "error":
        # "Host unreachable", about a TCP packet of somebody else's connection.
        ends = [ipaddress.ip_address(options[key]) for key in ("about_source", "about_target")]
        ports = struct.pack("!HHI", int(options["about_sport"]), int(options["about_dport"]), 1)
        if source.version == 4:
            body = struct.pack("!BBHI", 3, 1, 0, 0) + header4(*ends, 6, ports + marker, b"", 0, 0)
            return 1, body[:2] + struct.pack("!H", checksum(body)) + body[4:]
        quoted = struct.pack("!IHBB", 6 << 28, len(ports + marker), 6, 64) + ends[0].packed + ends[1].packed
        body = struct.pack("!BBHI", 1, 3, 0, 0) + quoted + ports + marker
        return 58, over(source, destination, 58, body, 2)
    raise SystemExit(f"unknown kind {kind}")


def header4(source, destination, protocol, payload, extra, offset, more):
    length = 20 + len(extra)
    start = struct.pack(
        "!BBHHHBBH4s4s", 4 << 4 | length // 4, 0, length + len(payload), 4242, offset // 8 | more << 13,
        64, protocol, 0, source.packed, destination.packed,
    ) + extra  # fmt: skip
    return start[:10] + struct.pack("!H", checksum(start)) + start[12:] + payload


def packets(source, destination, protocol, payload, options):
    """Return one packet, or its fragments."""
    cut = int(options.get("cut", 0))
    pieces = [(0, payload, 0)] if not cut else [(0, payload[:cut], 1), (cut, payload[cut:], 0)]
    for offset, piece, more in pieces:
        if source.version == 4:
            extra = b""
            if "via" in options:
                # Loose source route: the packet goes to the hub's address first, and from there to the target.
                extra = struct.pack("!BBB4sB", 131, 7, 4, ipaddress.ip_address(options["via"]).packed, 0)
            yield header4(source, destination, protocol, piece, extra, offset, more)
        else:
            following = protocol
            if cut:
                piece = struct.pack("!BBHI", protocol, 0, offset | more, 4242) + piece
                following = 44
            hops = 255 if protocol == 58 else 64
            yield (
                struct.pack("!IHBB", 6 << 28, len(piece), following, hops) + source.packed + destination.packed + piece
            )


def send(interface, kind, source, destination, marker, *words):
    options = dict(word.split("=", 1) for word in words)
    source, destination = ipaddress.ip_address(source), ipaddress.ip_address(destination)
    protocol, payload = transport(kind, source, destination, marker.encode(), options)
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(PROTOCOLS[source.version])) as link:
        hardware = bytes.fromhex(options.get("mac", "").replace(":", ""))
        address = (interface, PROTOCOLS[source.version], 0, 0, hardware)
        for _time in range(int(options.get("times", 5))):
            for packet in packets(source, destination, protocol, payload, options):
                link.sendto(packet, address if hardware else address[:2])
            time.sleep(0.02)


def watch(interface, marker, seconds):
    end = time.monotonic() + float(seconds)
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0003)) as link:
        if interface != "any":
            link.bind((interface, 0x0003))
        print("watching", flush=True)
        while time.monotonic() < end:
            if not select.select([link], [], [], 0.2)[0]:
                continue
            packet, (device, kind, direction, *_rest) = link.recvfrom(65535)
            # What a bridge floods to everybody, while nobody has the address, is meant for nobody here.
            if marker.encode() not in packet or direction in (socket.PACKET_OUTGOING, socket.PACKET_OTHERHOST):
                continue
            if kind == PROTOCOLS[4]:
                ends = packet[12:16], packet[16:20]
            elif kind == PROTOCOLS[6]:
                ends = packet[8:24], packet[24:40]
            else:
                continue
            print(device, *(ipaddress.ip_address(each) for each in ends), flush=True)


if __name__ == "__main__":
    {"send": send, "watch": watch}[sys.argv[1]](*sys.argv[2:])
