# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets as bytes: what is a probe, what is an answer, what the capture filter passes."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from ansible_collections.tenantnet.wireguard.plugins.module_utils import probe_packets as packets

RUN = "0123456789abcdef"
A4, B4 = (ipaddress.ip_address(text).packed for text in ("192.0.2.1", "198.51.100.2"))
A6, B6 = (ipaddress.ip_address(text).packed for text in ("2001:db8::1", "2001:db8:1::2"))
ENDS = {4: (A4, B4), 6: (A6, B6)}
ICMP = {4: 1, 6: 58}
BOTH = pytest.mark.parametrize("family", [4, 6])


def ip(family, protocol, body, tos=0, options=b"", fragment=0, source=None, destination=None):
    source, destination = source or ENDS[family][0], destination or ENDS[family][1]
    if family == 6:
        return struct.pack("!IHBB", 6 << 28 | tos << 20, len(body), protocol, 64) + source + destination + body
    start = struct.pack(
        "!BBHHHBBH", 0x45 + len(options) // 4, tos, 20 + len(options) + len(body), 0, fragment, 64, protocol, 0
    )
    return start + source + destination + options + body


def tcp(flags, port=3306, source_port=40000):
    return struct.pack("!HHIIBBHHH", source_port, port, 1, 0, 0x50, flags, 1000, 0, 0)


def udp(payload, port=53, source_port=40000):
    return struct.pack("!HHHH", source_port, port, 8 + len(payload), 0) + payload


def run_filter(program, packet, protocol):
    """A classic BPF machine with the few instructions that are in use."""
    accumulator, position = 0, 0
    for _step in range(100):
        code, true, false, k = program[position]
        position += 1
        if code == 0x28:
            accumulator = protocol if k == 0xFFFFF000 else struct.unpack_from("!H", packet, k)[0]
        elif code == 0x30:
            accumulator = packet[k]
        elif code == 0x74:
            accumulator >>= k
        elif code == 0x54:
            accumulator &= k
        elif code == 0x05:
            position += k
        elif code == 0x15:
            position += true if accumulator == k else false
        elif code == 0x06:
            return k
        else:
            raise AssertionError(f"unknown instruction {code:#x}")
    raise AssertionError("the program does not end")


@BOTH
@pytest.mark.parametrize("marking", [0, 1, 43, 46, 63])
def test_filter_passes_exactly_the_marking_whatever_ecn_says(family, marking):
    program = packets.capture_filter(marking)
    protocol = packets.ETH_P_IP if family == 4 else packets.ETH_P_IPV6
    passed = {tos for tos in range(256) if run_filter(program, ip(family, 6, tcp(2), tos), protocol)}
    assert passed == {marking << 2 | ecn for ecn in range(4)}


def test_filter_passes_no_other_protocol():
    packet = ip(4, 6, tcp(2), 43 << 2)
    assert run_filter(packets.capture_filter(43), packet, 0x0806) == 0


@pytest.mark.parametrize("marking", [-1, 64])
def test_filter_refuses_what_is_no_dscp_value(marking):
    with pytest.raises(packets.ProbeError, match="DSCP"):
        packets.capture_filter(marking)


@BOTH
def test_initial_packets_are_recognised(family):
    payload = packets.request_payload(RUN, 7)
    ends = ENDS[family]
    echo = packets.echo_request(family, 1, 2, payload)
    assert packets.parse_initial(ip(family, 6, tcp(0x02)), RUN) == ("tcp", *ends, 3306)
    assert packets.parse_initial(ip(family, 17, udp(payload)), RUN) == ("udp", *ends, 53)
    assert packets.parse_initial(ip(family, ICMP[family], echo), RUN) == ("icmp", *ends, 0)
    # ECN negotiation sets further flags.
    assert packets.parse_initial(ip(family, 6, tcp(0xC2)), RUN) is not None


@BOTH
def test_other_packets_are_not(family):
    other = packets.request_payload("f" * 16, 7)
    reply = packets.reply_payload(RUN, packets.request_payload(RUN, 7))
    echo_reply = bytearray(packets.echo_request(family, 1, 2, packets.request_payload(RUN, 7)))
    echo_reply[0] = {4: 0, 6: 129}[family]
    for protocol, body in [
        (6, tcp(0x12)),
        (6, tcp(0x10)),
        (6, tcp(0x04)),
        (17, udp(other)),
        (17, udp(reply)),
        (17, udp(b"")),
        (ICMP[family], packets.echo_request(family, 1, 2, other)),
        (ICMP[family], bytes(echo_reply)),
        (ICMP[10 - family], packets.echo_request(family, 1, 2, packets.request_payload(RUN, 7))),
        (132, tcp(0x02)),
    ]:
        assert packets.parse_initial(ip(family, protocol, body), RUN) is None


def test_options_are_skipped_and_fragments_ignored():
    assert packets.parse_initial(ip(4, 6, tcp(2, 80), options=b"\1" * 8), RUN).port == 80
    assert packets.parse_initial(ip(4, 6, tcp(2, 80), fragment=1), RUN) is None
    # "Don't fragment" is no fragment.
    assert packets.parse_initial(ip(4, 6, tcp(2, 80), fragment=0x4000), RUN).port == 80


@BOTH
def test_no_cut_or_odd_packet_raises(family):
    payload = packets.request_payload(RUN, 7)
    whole = [
        ip(family, 6, tcp(2)),
        ip(family, 17, udp(payload)),
        ip(family, ICMP[family], packets.echo_request(family, 1, 2, payload)),
    ]
    for packet in whole:
        for size in range(len(packet)):
            packets.parse_initial(packet[:size], RUN)
            packets.parse_icmp(family, (b"\3\1" if family == 4 else b"\1\1") + bytes(6) + packet[:size], A4)
    # A header that claims to be shorter than a header can be.
    assert packets.parse_initial(b"\x41" + whole[0][1:], RUN) is None
    assert packets.parse_initial(b"\x75" + whole[0][1:], RUN) is None


def test_echo_differs_from_the_request_and_is_never_echoed():
    request = packets.request_payload(RUN, 7)
    reply = packets.reply_payload(RUN, request)
    assert RUN.encode() in reply
    assert reply.endswith(b" 7")
    assert packets.reply_payload(RUN, reply) is None
    assert packets.reply_payload("f" * 16, request) is None


def test_checksum_of_the_rfc():
    assert packets.checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0x220D
    assert packets.checksum(b"\1") == packets.checksum(b"\1\0")
    assert packets.checksum(packets.echo_request(4, 1, 2, b"odd")) == 0


ERRORS = [
    (4, 3, 1, True),
    (4, 3, 3, True),
    (4, 3, 13, True),
    (4, 11, 0, True),
    (4, 3, 4, False),  # fragmentation needed
    (4, 5, 0, False),  # redirect
    (6, 1, 1, True),
    (6, 1, 4, True),
    (6, 3, 0, True),
    (6, 2, 0, False),  # packet too big
    (6, 135, 0, False),  # neighbour solicitation
]


@pytest.mark.parametrize(("family", "kind", "code", "final"), ERRORS)
@pytest.mark.parametrize("protocol", ["tcp", "udp", "icmp"])
def test_errors_name_the_flow_that_they_are_about(family, kind, code, final, protocol):
    quoted = {
        "tcp": ip(family, 6, tcp(2, 3306, 40001)),
        "udp": ip(family, 17, udp(b"", 53, 40002)),
        "icmp": ip(family, ICMP[family], packets.echo_request(family, 4, 5, b"")),
    }[protocol][: 48 if family == 6 else 28]
    offender = (B4 if family == 4 else B6)[:-1] + b"\x63"
    answer = packets.parse_icmp(family, bytes([kind, code]) + bytes(6) + quoted, offender)
    if not final:
        assert answer is None
        return
    ports = {"tcp": (40001, 3306), "udp": (40002, 53), "icmp": (4, 5)}[protocol]
    assert answer == ((protocol, ENDS[family][1], *ports), (kind, code), False, b"")
    assert f"type {kind} code {code}" in packets.describe_error(family, answer.error)


@BOTH
def test_an_error_from_the_source_of_the_packet_is_local(family):
    error = (b"\3\1" if family == 4 else b"\1\0") + bytes(6) + ip(family, 17, udp(b""))
    assert packets.parse_icmp(family, error, ENDS[family][0]).local is True
    assert packets.parse_icmp(family, error, ENDS[family][1]).local is False


@BOTH
def test_echo_replies_are_matched_by_sender_identifier_sequence_and_payload(family):
    message = bytes([{4: 0, 6: 129}[family], 0, 0, 0]) + struct.pack("!HH", 4, 5) + b"load"
    assert packets.parse_icmp(family, message, B4) == (("icmp", B4, 4, 5), None, False, b"load")
    assert packets.parse_icmp(family, message[:7], B4) is None
    # Our own request, looped back, is no answer.
    assert packets.parse_icmp(family, packets.echo_request(family, 4, 5, b"load"), B4) is None


def test_only_port_unreachable_is_that():
    assert packets.is_port_unreachable(4, (3, 3))
    assert packets.is_port_unreachable(6, (1, 4))
    assert not packets.is_port_unreachable(4, (1, 4))
    assert not packets.is_port_unreachable(6, (3, 3))


@BOTH
def test_type_filter_blocks_all_but_answers(family):
    _level, _name, mask = packets.icmp_type_filter(family)
    words = struct.unpack(f"={len(mask) // 4}I", mask)
    passed = {kind for kind in range(len(words) * 32) if not words[kind // 32] >> kind % 32 & 1}
    assert passed == {4: {0, 3, 11, 12}, 6: {1, 3, 4, 129}}[family]


@pytest.mark.parametrize("run", ["", "0123456789ABCDEF", "0123456789abcde", "../0123456789abc", RUN + "\n"])
def test_run_becomes_a_file_name_and_must_be_hexadecimal(run):
    with pytest.raises(packets.ProbeError, match="hexadecimal"):
        packets.check_run(run)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-all", "wg 0", "w" * 16, "wg0\n"])
def test_interface_becomes_a_file_name_and_an_argument(name):
    with pytest.raises(packets.ProbeError, match="interface"):
        packets.check_interface(name)


def test_usual_interfaces_are_names():
    for name in ("wg0", "tenant-a", "eth0.100", "w" * 15):
        assert packets.check_interface(name) == name


@pytest.mark.parametrize("text", ["", "host", "10.0.0.0/8", "10.0.0.256", "224.0.0.1", "::", "ff02::1", "fe80::1%x"])
def test_addresses_are_of_single_hosts(text):
    with pytest.raises(packets.ProbeError):
        packets.check_address(text)


def test_addresses_of_both_families():
    assert packets.check_address("192.0.2.1") == (4, A4)
    assert packets.check_address("2001:db8::1") == (6, A6)
    assert packets.address_text(A6) == "2001:db8::1"
