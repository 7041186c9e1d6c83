# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter client_config: the file of a client that is configured by hand."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.tenantnet.wireguard.plugins.filter.client_config import FilterModule, client_config

HUB_KEY = "jTmTN+/sp4Ad676mSTq3kAbt/BvdoV67YcxiRpn7CZI="
LEAST = {"endpoint": "vpn.example.net", "port": 51821, "addresses": ["10.100.1.10/32"]}
# What the compiler's plan says of a peer, every key of it.
WHOLE = {
    **LEAST,
    "interface": "tenant-a",
    "peer": "tenant-a/production/phone",
    "segment": "tenant-a/production",
    "barred": "",
    "hub": "hub1",
    "addresses": ["10.100.1.10/32", "fd64:e5a:100:1::10/128"],
    "allowed_ips": ["10.100.1.0/24", "10.100.254.10/32", "fd64:e5a:100:1::/64"],
    "keepalive": 20,
    "mtu": 1380,
    "dns": ["10.100.254.53", "fd64:e5a:100:fe::53"],
}


def test_writes_all_that_is_known():
    assert client_config(WHOLE, HUB_KEY) == (
        "# tenant-a/production/phone\n"
        "[Interface]\n"
        "PrivateKey = (the private key of tenant-a/production/phone)\n"
        "Address = 10.100.1.10/32, fd64:e5a:100:1::10/128\n"
        "DNS = 10.100.254.53, fd64:e5a:100:fe::53\n"
        "MTU = 1380\n"
        "\n"
        "[Peer]\n"
        f"PublicKey = {HUB_KEY}\n"
        "AllowedIPs = 10.100.1.0/24, 10.100.254.10/32, fd64:e5a:100:1::/64\n"
        "Endpoint = vpn.example.net:51821\n"
        "PersistentKeepalive = 20\n"
    )


def test_leaves_out_what_is_not_there():
    assert client_config(LEAST, HUB_KEY) == (
        "[Interface]\n"
        "PrivateKey = (the private key of this peer)\n"
        "Address = 10.100.1.10/32\n"
        "MTU = 1420\n"
        "\n"
        "[Peer]\n"
        f"PublicKey = {HUB_KEY}\n"
        "Endpoint = vpn.example.net:51821\n"
        "PersistentKeepalive = 25\n"
    )


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"endpoint": "2001:db8::1"}, "Endpoint = [2001:db8::1]:51821\n"),
        ({"endpoint": "192.0.2.1"}, "Endpoint = 192.0.2.1:51821\n"),
        ({"allowed_ips": ["0.0.0.0/0", "::/0"]}, "AllowedIPs = 0.0.0.0/0, ::/0\n"),
        ({"port": "443"}, "Endpoint = vpn.example.net:443\n"),
        ({"barred": None}, "PublicKey"),
    ],
)
def test_writes(change, line):
    assert line in client_config({**LEAST, **change}, HUB_KEY)


def test_no_keepalive_is_no_line():
    assert "PersistentKeepalive" not in client_config({**LEAST, "keepalive": 0}, HUB_KEY)


def test_takes_a_private_key_or_a_text_in_its_place():
    assert "PrivateKey = PUT YOURS HERE\n" in client_config(LEAST, HUB_KEY, " PUT YOURS HERE\n")
    assert "PrivateKey = PUT YOURS HERE\n" in client_config(LEAST, HUB_KEY, private_key="PUT YOURS HERE")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({**LEAST, "endpoint": None}, HUB_KEY), "client_config.membership.endpoint: is empty, write a host's name"),
        (({**LEAST, "endpoint": "a\nPostUp = x"}, HUB_KEY), "is not a host's name or an address"),
        (({**LEAST, "port": 0}, HUB_KEY), "client_config.membership.port: 0, is out of range"),
        (({**LEAST, "addresses": []}, HUB_KEY), "membership.addresses: is a list of nothing, give the peer's"),
        (({**LEAST, "addresses": ["10.100.1.10"]}, HUB_KEY), "addresses[0]: '10.100.1.10', has no prefix length"),
        (({**LEAST, "allowed_ips": ["10.0.0.1/8"]}, HUB_KEY), "allowed_ips[0]: '10.0.0.1/8', has bits set beyond"),
        (({**LEAST, "dns": ["ns.example.net"]}, HUB_KEY), "dns[0]: 'ns.example.net', is not an IP address"),
        (({**LEAST, "peer": "a\nb"}, HUB_KEY), "membership.peer: 'a\\nb', is empty or has characters that"),
        (({**LEAST, "adresses": []}, HUB_KEY), "membership.adresses: is an unknown key (did you mean 'addresses'?)"),
        (({**LEAST, "barred": "revoked"}, HUB_KEY), "client_config.membership.barred: 'revoked', is why its hub keeps"),
        (("10.100.1.10/32", HUB_KEY), "client_config.membership: '10.100.1.10/32', is not a mapping"),
        ((None, HUB_KEY), "client_config.membership: is empty, write a mapping with endpoint, port, addresses"),
        (({"port": 1}, HUB_KEY), "client_config.membership.endpoint: is missing, add endpoint: host or address"),
        ((LEAST,), "client_config.hub_public_key: is empty, write the output of 'wg pubkey'"),
        ((LEAST, HUB_KEY[:-1]), "client_config.hub_public_key: 'jTmTN"),
    ],
)  # fmt: skip
def test_refuses(arguments, message):
    with pytest.raises(AnsibleFilterError) as caught:
        client_config(*arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize("private_key", ["secret\nPostUp = reboot", ["secret"], "", {"secret": 1}])
def test_refuses_a_private_key_without_showing_it(private_key):
    with pytest.raises(AnsibleFilterError) as caught:
        client_config(LEAST, HUB_KEY, private_key)
    assert "client_config.private_key: is not one line of text (not shown)" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_is_named_as_its_file():
    assert FilterModule().filters() == {"client_config": client_config}
