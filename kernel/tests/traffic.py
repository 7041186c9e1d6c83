# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on guests and on their bridge: keeps sending what must and what must not pass, and watches. Standard library.

    traffic.py storm INTERFACE SECONDS PACKET...        PACKET: MARKER,KIND,SOURCE,DESTINATION,PORT[,MAC]
    traffic.py knock INTERFACE SECONDS                  handshakes, until one is answered
    traffic.py watch INTERFACE SECONDS                  `any` is every interface
    traffic.py catch PORT SECONDS                       reads one TCP connection to its end
    traffic.py pour ADDRESS PORT SECONDS                writes into one

Packets leave by the link itself, past the host's own routing and firewall. The watcher prints, when it ends or gets
SIGTERM, what it has seen, as JSON: interface, direction, marker, source, destination, how many, when first and last.
"""

import hashlib
import ipaddress
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

import packets

MARK = re.compile(rb"TN<([a-z0-9-]+)>")


def storm(interface, seconds, *wanted):
    """Send every packet again and again, about five times a second; print how many of each went."""
    links, queue = {}, []
    for each in wanted:
        marker, kind, source, destination, port, *hardware = each.split(",")
        source, destination = ipaddress.ip_address(source), ipaddress.ip_address(destination)
        number = packets.PROTOCOLS[source.version]
        if number not in links:
            links[number] = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(number))
        address = (
            (interface, number, 0, 0, bytes.fromhex(hardware[0].replace(":", ""))) if hardware else (interface, number)
        )
        protocol, body = packets.transport(kind, source, destination, f"TN<{marker}>".encode(), {"port": port})
        for packet in packets.packets(source, destination, protocol, body, {}):
            queue.append((links[number], packet, address, marker))
    sent = {}
    print("sending", flush=True)
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end and not stopped:
        for link, packet, address, marker in queue:
            try:
                link.sendto(packet, address)
                sent[marker] = sent.get(marker, 0) + 1
            except OSError:
                # No tunnel at the moment, or its queue is full: that is what the storm is for.
                pass
        time.sleep(0.2)
    print(json.dumps(sent))


def knock(interface, seconds):
    """Forget the hub and know it again until it answers: each time a handshake begins at once."""
    peer, _psk, endpoint, allowed, *_rest, keepalive = [
        line.split("\t") for line in run("wg", "show", interface, "dump").splitlines()
    ][1]
    end = time.monotonic() + float(seconds)
    tries = 0
    print("knocking", flush=True)
    while time.monotonic() < end and not stopped:
        tries += 1
        run("wg", "set", interface, "peer", peer, "remove")
        words = ["endpoint", endpoint, "allowed-ips", allowed, "persistent-keepalive", keepalive]
        run("wg", "set", interface, "peer", peer, *words)
        time.sleep(0.5)
        if run("wg", "show", interface, "latest-handshakes").split()[1] != "0":
            break
    print(json.dumps({"tries": tries}))


def run(*words):
    """Run a command and return what it says."""
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def watch(interface, seconds):
    """Count every marked packet."""
    seen = {}
    end = time.monotonic() + float(seconds)
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0003)) as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        if interface != "any":
            link.bind((interface, 0x0003))
        print("watching", flush=True)
        while time.monotonic() < end and not stopped:
            if not select.select([link], [], [], 0.1)[0]:
                continue
            packet, (device, kind, direction, *_rest) = link.recvfrom(65535)
            found = MARK.search(packet)
            # What a bridge floods to hosts that it is not meant for is none of theirs; at a tap itself all counts.
            if not found or (direction == socket.PACKET_OTHERHOST and interface == "any"):
                continue
            if kind == packets.PROTOCOLS[4]:
                ends = packet[12:16], packet[16:20]
            elif kind == packets.PROTOCOLS[6]:
                ends = packet[8:24], packet[24:40]
            else:
                ends = b"\0" * 4, b"\0" * 4
            way = "out" if direction == socket.PACKET_OUTGOING else "in"
            key = (device, way, found[1].decode(), *(str(ipaddress.ip_address(each)) for each in ends))
            entry = seen.setdefault(key, [0, time.time(), 0])
            entry[0] += 1
            entry[2] = time.time()
    print(json.dumps([[*key, *entry] for key, entry in sorted(seen.items())]))


def catch(port, seconds):
    """Accept one TCP connection, in either family, and read all that comes."""
    whole, count = hashlib.sha256(), 0
    with socket.create_server(("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        server.settimeout(float(seconds))
        print("listening", flush=True)
        connection, _peer = server.accept()
        with connection:
            connection.settimeout(float(seconds))
            while True:
                piece = connection.recv(1 << 16)
                if not piece:
                    break
                whole.update(piece)
                count += len(piece)
    print(json.dumps({"bytes": count, "sha256": whole.hexdigest()}))


def pour(address, port, seconds):
    """Open one TCP connection and keep sending, about 300 kB a second."""
    whole, count, longest = hashlib.sha256(), 0, 0.0
    end = time.monotonic() + float(seconds)
    with socket.create_connection((address, int(port)), timeout=20) as connection:
        print("pouring", flush=True)
        while time.monotonic() < end and not stopped:
            piece = os.urandom(1 << 15)
            begin = time.monotonic()
            connection.sendall(piece)
            longest = max(longest, time.monotonic() - begin)
            whole.update(piece)
            count += len(piece)
            time.sleep(0.1)
    print(json.dumps({"bytes": count, "sha256": whole.hexdigest(), "longest": round(longest, 3)}))


stopped: list[bool] = []
if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stopped.append(True))
    programs: dict[str, Callable[..., None]] = {
        "storm": storm, "knock": knock, "watch": watch, "catch": catch, "pour": pour,
    }  # fmt: skip
    programs[sys.argv[1]](*sys.argv[2:])
