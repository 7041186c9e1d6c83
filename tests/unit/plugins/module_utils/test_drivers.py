# SPDX-License-Identifier: GPL-3.0-or-later
"""WireGuard's live state and the least change to it; whose key is let in; the firewall's generations."""

from __future__ import annotations

import json

import pytest
from ansible_collections.tenantnet.wireguard.plugins.module_utils import (
    firewall,
    interfaces,
    keys,
    known_keys,
    wireguard,
)
from ansible_collections.tenantnet.wireguard.plugins.module_utils.host import Host, HostError, without_keys
from ansible_collections.tenantnet.wireguard.plugins.module_utils.wireguard import Peer
from ansible_collections.tenantnet.wireguard.tests.unit.support.scripted_host import ScriptedHost

A, B, C = (letter * 43 + "=" for letter in "ABC")
PRIVATE = keys.new_private_key()


def peer(key, *addresses, endpoint="", keepalive=0):
    return Peer(key, frozenset(addresses), endpoint, keepalive)


def dump(private=PRIVATE, peers=()):
    lines = [f"wg0\t{private}\t{A}\t51820\toff"]
    for each in peers:
        allowed = ",".join(sorted(each.allowed_ips)) or "(none)"
        lines.append(
            f"wg0\t{each.public_key}\t(none)\t{each.endpoint or '(none)'}\t{allowed}"
            f"\t0\t0\t0\t{each.keepalive or 'off'}"
        )
    return "\n".join(lines) + "\n"


def test_the_dump_is_read_whole(tmp_path):
    host = ScriptedHost(
        tmp_path, {"wg show all dump": dump(peers=[peer(B, "10.1.0.2/32", endpoint="192.0.2.1:5", keepalive=25)])}
    )
    device = wireguard.read_devices(host)["wg0"]
    assert (device.listen_port, device.private_key) == (51820, PRIVATE)
    assert device.peers == {B: peer(B, "10.1.0.2/32", endpoint="192.0.2.1:5", keepalive=25)}


@pytest.mark.parametrize(
    "line",
    [
        f"wg0\t{A}\t{PRIVATE}\t51820\toff\tx", f"wg0\t51820\t{A}\t{PRIVATE}\toff", f"wg0 {PRIVATE}",
        f"wg9\t{B}\t{PRIVATE}\t(none)\t(none)\t0\t0\t0\toff", f"wg0\t{B}\t(none)\t-\t-\t0\t0\t0\t{PRIVATE}",
    ],
    ids=["a-field-more", "port-moved", "no-tabs", "unknown-interface", "keepalive-moved"],
)  # fmt: skip
def test_a_dump_of_another_form_is_an_error_that_tells_no_key(tmp_path, line):
    """Broken once by converting the fields outside of the try: Python's own error quoted the private key."""
    with pytest.raises(HostError, match="no form that we know") as caught:
        wireguard.read_devices(ScriptedHost(tmp_path, {"wg show all dump": dump() + line + "\n"}))
    assert PRIVATE not in str(caught.value)
    assert caught.value.__cause__ is None


def test_what_a_failing_command_says_is_told_without_keys(tmp_path):
    """Broken once by quoting it whole."""
    text = f"Line unrecognized: `PrivateKey={PRIVATE}'\nkey is {A}"
    assert without_keys(text) == "Line unrecognized: `PrivateKey=(key)'\nkey is (key)"
    host = Host(root=str(tmp_path))
    with pytest.raises(HostError) as caught:
        host.run(["sh", "-c", "cat >&2; exit 3"], stdin=text)
    assert PRIVATE not in str(caught.value)
    assert "status 3: Line unrecognized" in str(caught.value)


@pytest.mark.parametrize(
    ("live", "wanted", "expected"),
    [
        # the same, and a roaming peer's endpoint is its own
        ([peer(A, "10.1.0.2/32", endpoint="192.0.2.9:1")], [peer(A, "10.1.0.2/32")], ([], [], [])),
        # another address, one address more, another order is no difference
        ([peer(A, "10.1.0.2/32")], [peer(A, "10.1.0.3/32")], ([], [A], [])),
        ([peer(A, "10.1.0.2/32")], [peer(A, "10.1.0.2/32", "fd00::2/128")], ([], [A], [])),
        # gone and new
        ([peer(A), peer(B)], [peer(B), peer(C)], ([A], [C], [])),
        # keepalive on, off
        ([peer(A)], [peer(A, keepalive=25)], ([], [A], [])),
        ([peer(A, keepalive=25)], [peer(A)], ([], [], [A])),
        # a wanted endpoint by address, and by a name that stands for the live one
        ([peer(A, endpoint="192.0.2.1:5")], [peer(A, endpoint="192.0.2.2:5")], ([], [A], [])),
        ([peer(A, endpoint="192.0.2.1:5")], [peer(A, endpoint="hub.example:5")], ([], [], [])),
    ],
)
def test_only_what_differs_is_written(live, wanted, expected):
    """Broken once by writing every wanted peer: the first row failed, and live handshakes would be lost."""
    resolved = {"hub.example:5": "192.0.2.1:5"}
    change = wireguard.delta(
        {each.public_key: each for each in live}, {each.public_key: each for each in wanted}, resolved
    )
    assert (change.remove, [each.public_key for each in change.write], change.quiet) == expected


def test_an_address_passes_from_one_peer_to_another_only_after_it_is_free(tmp_path):
    """WireGuard gives an address to the last who asks: the old holder is removed first."""
    host = ScriptedHost(tmp_path)
    wireguard.apply_delta(host, "wg0", wireguard.delta({A: peer(A, "10.1.0.2/32")}, {B: peer(B, "10.1.0.2/32")}, {}))
    assert [line for line, _stdin in host.ran] == [f"wg set wg0 peer {A} remove", "wg addconf wg0 /dev/stdin"]


def test_what_was_read_back_must_be_what_was_wanted():
    wanted = {A: peer(A, "10.1.0.2/32"), B: peer(B, "10.1.0.2/32")}
    stolen = wireguard.Device(PRIVATE, 1, {A: peer(A), B: peer(B, "10.1.0.2/32")})
    with pytest.raises(HostError, match=rf"peer {A} has \[\] and not"):
        wireguard.verify("wg0", stolen, PRIVATE, wanted)
    with pytest.raises(HostError, match="runs with another key"):
        wireguard.verify("wg0", stolen, keys.new_private_key(), {})
    with pytest.raises(HostError, match="is not there"):
        wireguard.verify("wg0", None, PRIVATE, {})


INTERFACE = {
    "name": "wg0", "about": "management", "key": "management", "guarded": True, "listen_port": 51820, "mtu": 1420,
    "addresses": ["10.1.0.1/32", "fd00::1/128"],
    "routes": [
        {"table": 10000, "to": "10.1.0.0/24", "from": "10.1.0.1"},
        {"table": 10001, "to": "fd00::/64", "from": None},
    ],
    "peers": [{"id": "management/a", "host": None, "public_key": A, "allowed_ips": ["10.1.0.2/32"]}],
}  # fmt: skip


def fresh(tmp_path, **answers):
    started = {"yes": False}

    def start(_line, _stdin):
        started["yes"] = True
        return ""

    def show(_line, _stdin):
        private = (tmp_path / "etc/tenantnet/keys/management.key").read_text().strip() if started["yes"] else None
        return dump(private, [peer(A, "10.1.0.2/32")]) if private else ""

    table = {
        "ip -j address": "[]",
        "wg show all dump": show,
        "systemctl start": start,
        "wg pubkey": B + "\n",
        **answers,
    }
    return ScriptedHost(tmp_path, table)


def test_a_new_interface_is_complete_on_disk_before_it_starts(tmp_path):
    host = fresh(tmp_path)
    assert interfaces.reconcile(host, [INTERFACE]) == {"wg0": B}
    text = (tmp_path / "etc/wireguard/wg0.conf").read_text()
    key = (tmp_path / "etc/tenantnet/keys/management.key").read_text().strip()
    assert f"PrivateKey = {key}" in text
    assert "Table = off" in text
    assert text.index("PreUp = nft list chain inet tenantnet spoofing") < text.index("PostUp")
    assert "SaveConfig" not in text
    batch = (tmp_path / "etc/tenantnet/interfaces/wg0.v6").read_text().splitlines()
    assert batch[0] == "address replace fd00::1/128 dev wg0 noprefixroute nodad"
    assert batch[1] == "route replace fd00::/64 dev wg0 table 10001 proto 94"
    order = [line for line, _stdin in host.ran if line.startswith("systemctl") and "show" not in line]
    assert order == [
        "systemctl daemon-reload",
        "systemctl enable wg-quick@wg0.service",
        "systemctl reset-failed wg-quick@wg0.service",
        "systemctl start wg-quick@wg0.service",
    ]
    assert not any(key in line for line, _stdin in host.ran), "a private key on a command line"
    assert key not in str(host.diffs)


def test_a_second_run_keeps_the_key_and_changes_nothing(tmp_path):
    host = fresh(tmp_path)
    interfaces.reconcile(host, [INTERFACE])
    key = (tmp_path / "etc/tenantnet/keys/management.key").read_text()
    address = [{"ifname": "wg0", "mtu": 1420, "addr_info": [
        {"scope": "global", "local": "10.1.0.1", "prefixlen": 32},
        {"scope": "global", "local": "fd00::1", "prefixlen": 128}]}]  # fmt: skip
    again = ScriptedHost(
        tmp_path,
        {
            "ip -j address": json.dumps(address),
            "ip -N -j -4 route": json.dumps(
                [{"dst": "10.1.0.0/24", "dev": "wg0", "prefsrc": "10.1.0.1", "table": "10000"}]
            ),
            "ip -N -j -6 route": json.dumps([{"dst": "fd00::/64", "dev": "wg0", "table": "10001"}]),
            "wg show all dump": dump(key.strip(), [peer(A, "10.1.0.2/32")]),
            "wg pubkey": B,
            "systemctl show": "Id=wg-quick@wg0.service\nActiveState=active\nUnitFileState=enabled\n",
        },
    )
    interfaces.reconcile(again, [INTERFACE])
    assert again.changes == []
    assert (tmp_path / "etc/tenantnet/keys/management.key").read_text() == key


def test_a_lost_key_file_is_restored_from_the_running_interface(tmp_path):
    """No key is remade while somebody uses it. Broken once by always making a new one."""
    host = ScriptedHost(tmp_path)
    assert keys.ensure_key(host, "tenant-a/production", PRIVATE) == PRIVATE
    assert (tmp_path / "etc/tenantnet/keys/tenant-a.production.key").read_text() == PRIVATE + "\n"


def test_a_damaged_key_file_is_an_error_and_not_a_new_key(tmp_path):
    folder = tmp_path / "etc/tenantnet/keys"
    folder.mkdir(parents=True)
    (folder / "management.key").write_text("half a k")
    with pytest.raises(HostError, match="holds no private key"):
        keys.ensure_key(ScriptedHost(tmp_path), "management", None)


@pytest.mark.parametrize(
    ("where", "answers", "message"),
    [
        ("etc/wireguard/wg0.conf", {}, "wg0.conf exists and is not ours"),
        (
            None,
            {"ip -j address": json.dumps([{"ifname": "wg0", "mtu": 1420, "addr_info": []}])},
            "stands already and is not ours",
        ),
        (
            None,
            {"wg show all dump": f"wg9\t{PRIVATE}\t{A}\t51820\toff\n"},
            "UDP port 51820 of wg0 is in use by interface wg9",
        ),
    ],
)
def test_what_is_not_ours_is_never_taken(tmp_path, where, answers, message):
    if where:
        (tmp_path / where).parent.mkdir(parents=True)
        (tmp_path / where).write_text("[Interface]\n")
    host = fresh(tmp_path, **answers)
    with pytest.raises(HostError, match=message):
        interfaces.reconcile(host, [INTERFACE])
    assert host.changes == []


UDP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
 7029: 00000000:CA6C {peer}:{port} 07 00000000:00000000 00:00000000 00000000     0        0 1679863 2 0 0
"""


@pytest.mark.parametrize("name", ["udp", "udp6"])
def test_a_port_that_a_program_listens_on_is_not_taken(tmp_path, name):
    """Broken once by looking at WireGuard's own interfaces only: the interface would not have started."""
    file = tmp_path / "proc/net" / name
    file.parent.mkdir(parents=True)
    file.write_text(UDP.format(peer="00000000", port="0000"))
    host = fresh(tmp_path)
    with pytest.raises(HostError, match="UDP port 51820 of wg0 is in use on this host"):
        interfaces.reconcile(host, [INTERFACE])
    assert host.changes == []
    # A client's own port, which the kernel chose for one connection.
    file.write_text(UDP.format(peer="0100007F", port="0035"))
    interfaces.reconcile(fresh(tmp_path), [INTERFACE])


@pytest.mark.parametrize(
    ("removable", "allowed"), [([], False), (["other"], False), (["tenant-a"], True), (["tenant-a/production"], True)]
)
def test_an_interface_is_removed_only_when_it_is_named(tmp_path, removable, allowed):
    folder = tmp_path / "etc/wireguard"
    folder.mkdir(parents=True)
    (folder / "tenant-a.conf").write_text(interfaces.MARKER + "tenant-a/production\n[Interface]\n")
    (folder / "foreign.conf").write_text("[Interface]\n")
    host = fresh(tmp_path)
    if allowed:
        interfaces.retire(host, set(), removable)
        assert host.lines("systemctl disable") == ["systemctl disable --now wg-quick@tenant-a.service"]
        assert sorted(path.name for path in folder.iterdir()) == ["foreign.conf"]
    else:
        with pytest.raises(HostError, match="tenant-a/production; name them in wireguard_allow_removal"):
            interfaces.retire(host, set(), removable)
        assert host.changes == []


def test_an_interface_that_stands_without_its_unit_goes_too(tmp_path):
    """Broken once by stopping the unit alone: the interface stood on, and nobody knew it any more."""
    (tmp_path / "etc/wireguard").mkdir(parents=True)
    (tmp_path / "etc/wireguard/tenant-a.conf").write_text(interfaces.MARKER + "tenant-a/production\n[Interface]\n")
    (tmp_path / "sys/class/net/tenant-a").mkdir(parents=True)
    host = fresh(tmp_path)
    assert interfaces.retire(host, set(), ["tenant-a"]) == ["tenant-a"]
    assert host.lines("ip link") == ["ip link delete dev tenant-a"]
    order = [line for line, _stdin in host.ran if line.startswith(("systemctl disable", "ip link"))]
    assert order[0].startswith("systemctl disable")


def managed(host="web1", identity="tenant-a/production/web1"):
    return [{"name": "wg0", "peers": [{"id": identity, "host": host, "public_key": None, "allowed_ips": []}]}]


@pytest.mark.parametrize(
    ("known", "told", "accepted", "key", "reason"),
    [
        ({}, {}, [], None, "not known yet"),
        ({}, {"tenant-a/production/web1": A}, [], A, None),
        # silent now, known before: it stays
        ({"tenant-a/production/web1": A}, {}, [], A, None),
        # another key without a rotation: the known one stays in, the new one stays out
        ({"tenant-a/production/web1": A}, {"tenant-a/production/web1": B}, [], A, "changed without a rotation"),
        ({"tenant-a/production/web1": A}, {"tenant-a/production/web1": B}, ["tenant-a/production/web1"], B, None),
        ({"tenant-a/production/web1": A}, {"tenant-a/production/web1": B}, ["*"], B, None),
    ],
)
def test_the_hub_decides_whose_key_is_let_in(tmp_path, known, told, accepted, key, reason):
    host = ScriptedHost(tmp_path)
    if known:
        host.make_folder(known_keys.FOLDER, 0o700)
        host.write(known_keys.FILE, json.dumps(known), 0o600)
    complete, pending = known_keys.resolve(host, managed(), told, accepted)
    assert [each["public_key"] for each in complete[0]["peers"]] == ([key] if key else [])
    assert [item["party"] for item in pending] == (["tenant-a/production/web1"] if reason else [])
    assert not reason or reason in pending[0]["reason"]
    assert known_keys.read_known(host).get("tenant-a/production/web1") == key


def loaded(tmp_path, ruleset, **answers):
    host = ScriptedHost(tmp_path, {"nft -s list": "a table\n", "ip -N -j": "[]", "ip -j": "[]", **answers})
    result = firewall.reconcile(host, ruleset, ["eth0"])
    return host, result["generation"]


def test_generations_only_grow_and_only_with_the_policy(tmp_path):
    assert [loaded(tmp_path, text)[1] for text in ("one\n", "one\n", "two\n", "one\n")] == [1, 1, 2, 3]
    assert "define GEN = 768" in (tmp_path / "etc/tenantnet/firewall.nft").read_text()


def test_the_same_firewall_is_not_loaded_again_but_a_lost_one_is(tmp_path):
    loaded(tmp_path, "one\n")
    running = {"systemctl show": "Id=tenantnet-firewall.service\nActiveState=active\nUnitFileState=enabled\n"}
    host, _generation = loaded(tmp_path, "one\n", **running)
    assert host.changes == []
    host, generation = loaded(tmp_path, "one\n", **running, **{"nft -s list": 1})
    assert host.lines("nft -f") == ["nft -f /etc/tenantnet/firewall.nft"]
    assert generation == 1


def test_a_ruleset_that_nft_refuses_changes_nothing(tmp_path):
    """Broken once by writing the boot file before the check."""
    loaded(tmp_path, "good\n")
    before = {path.name: path.read_text() for path in (tmp_path / "etc/tenantnet").iterdir()}
    state = (tmp_path / "var/lib/tenantnet/firewall.json").read_text()
    with pytest.raises(HostError, match="nft -c -f -: failed"):
        loaded(tmp_path, "bad\n", **{"nft -c": 1})
    assert {path.name: path.read_text() for path in (tmp_path / "etc/tenantnet").iterdir()} == before
    assert (tmp_path / "var/lib/tenantnet/firewall.json").read_text() == state


def test_a_number_is_spent_before_it_is_used(tmp_path):
    """A power cut while loading must not let the number come back with other contents."""
    loaded(tmp_path, "one\n")

    def cut(_line, _stdin):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loaded(tmp_path, "two\n", **{"nft -f": cut})
    assert loaded(tmp_path, "three\n")[1] == 3


def test_a_failed_load_keeps_the_old_file_for_the_next_boot(tmp_path):
    loaded(tmp_path, "good\n")
    before = (tmp_path / "etc/tenantnet/firewall.nft").read_text()
    with pytest.raises(HostError, match="the old one is in force"):
        loaded(tmp_path, "fails at load\n", **{"nft -f": 1})
    assert (tmp_path / "etc/tenantnet/firewall.nft").read_text() == before
