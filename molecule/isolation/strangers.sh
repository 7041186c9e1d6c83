#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs on the lab's hub: strangers make|show|remove. Things of somebody else, which nothing of ours may touch: a
# WireGuard interface, two firewalls, routing rules and routes of both families, and the unit that makes them at boot.
set -euo pipefail

# A lab host and nothing else: this script makes interfaces and units.
if [[ ! -d /opt/lab || $(hostname) != hub1 ]]; then
    echo "strangers: this is not the lab's hub" >&2
    exit 2
fi
files=(/etc/foreign/key /etc/foreign/firewall.nft /etc/wireguard/wg-foreign.conf /etc/systemd/system/foreign.service)

make() {
    umask 077
    mkdir -p /etc/wireguard /etc/foreign
    wg genkey >/etc/foreign/key
    cat >/etc/wireguard/wg-foreign.conf <<CONF
[Interface]
PrivateKey = $(</etc/foreign/key)
ListenPort = 51999
Address = 198.51.100.1/32
Table = off
[Peer]
PublicKey = plNd1vmfFNwPEh3fE9KusT78qlt2OyIUP9WIaO5Etdw=
AllowedIPs = 198.51.100.2/32
CONF
    cat >/etc/foreign/firewall.nft <<'NFT'
table inet foreign
delete table inet foreign
table inet foreign {
  set kept { type ipv4_addr; elements = { 198.51.100.7 } }
  chain forward { type filter hook forward priority 10; policy accept; ip saddr 198.51.100.66 drop; }
}
table ip foreign4
delete table ip foreign4
table ip foreign4 {
  chain output { type filter hook output priority 0; policy accept; }
}
NFT
    cat >/etc/systemd/system/foreign.service <<'UNIT'
[Unit]
Description=Somebody else's network
After=lab-host.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f /etc/foreign/firewall.nft
ExecStart=/sbin/ip rule add pref 1500 fwmark 0x7 lookup 77
ExecStart=/sbin/ip -6 rule add pref 30000 from 2001:db8:77::/48 lookup 77
ExecStart=/sbin/ip route add 198.51.100.128/25 via 172.30.99.2 table 77
ExecStart=/sbin/ip route add 198.51.100.64/26 via 172.30.99.2
ExecStart=/sbin/ip -6 route add 2001:db8:77::/48 via fd7e:a57:99::2
[Install]
WantedBy=multi-user.target
UNIT
    systemctl daemon-reload
    systemctl enable --quiet --now foreign.service wg-quick@wg-foreign.service
}

# Every detail that a careless run could change.
show() {
    sha256sum "${files[@]}"
    stat --format '%n %a %u:%g %i %Y' "${files[@]}"
    wg showconf wg-foreign
    ip -o address show dev wg-foreign scope global | sed 's/^[0-9]*: //'
    nft list table inet foreign
    nft list table ip foreign4
    nft list tables | grep -vw tenantnet
    local family
    for family in 4 6; do
        ip -"$family" rule | grep -v 'proto tenantnet'
        ip -"$family" route show table all | grep -v -e 'proto tenantnet' -e 'table local' -e '^fe80' | sort
    done
    systemctl show --property ActiveState,UnitFileState foreign.service wg-quick@wg-foreign.service
}

remove() {
    systemctl disable --quiet --now wg-quick@wg-foreign.service foreign.service
    nft delete table inet foreign
    nft delete table ip foreign4
    ip rule del pref 1500
    ip -6 rule del pref 30000
    ip route flush table 77
    ip route del 198.51.100.64/26
    ip -6 route del 2001:db8:77::/48
    rm -r "${files[@]}" /etc/foreign
    systemctl daemon-reload
}

case "${1:-}" in
make | show | remove) "$1" ;;
*) echo "usage: strangers make|show|remove" >&2; exit 2 ;;
esac
