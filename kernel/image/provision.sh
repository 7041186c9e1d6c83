#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs once, with a host of the lab as its root: makes a guest of it, a machine with a kernel of its own.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin

# Without a stand-in at hand, a tunnel that works is the kernel's.
dpkg --purge --force-depends wireguard-go >/dev/null 2>&1 || true
rm -f /usr/bin/wireguard-go
# No guest is the lab's database.
apt-get -qq -y purge 'mariadb-*' 'mysql-*' galera-4 >/dev/null 2>&1 || true
apt-get -qq -y autoremove --purge >/dev/null 2>&1 || true
rm -rf /var/lib/mysql /etc/mysql

# What a container leaves to its machine is a guest's own.
rm -f /etc/systemd/system/lab-*.service /etc/systemd/system/*.wants/lab-*.service
systemctl unmask --quiet systemd-udevd.service systemd-udev-trigger.service
for file in /usr/lib/sysctl.d/*.conf; do
    rm -f "/etc/sysctl.d/${file##*/}"
done
install -m 755 /opt/lab/kernel/guest.sh /opt/lab/guest.sh
install -m 644 /opt/lab/kernel/guest.service /etc/systemd/system/
systemctl enable --quiet guest.service ssh.service
: >/etc/hosts
rm -f /etc/resolv.conf /etc/hostname
echo '# the guests have no name server' >/etc/resolv.conf
# Logs that survive a power cut are what one looks at after it.
mkdir -p /var/log/journal
rm -rf /opt/lab/kernel /opt/lab/borrowed
