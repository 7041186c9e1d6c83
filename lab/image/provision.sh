#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs once, inside the image that is being made, when the packages are installed and apt still has its sources:
# turns a Debian system into a host of the lab. Its files lie in /opt/lab.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
lab=/opt/lab

# What the collection's roles install, and what that depends on, becomes a package repository inside the image: they
# really install it, and need no network. Recommends are left out: wireguard-tools recommends a whole kernel.
mkdir -p $lab/apt
rm -f /var/cache/apt/archives/*.deb
# shellcheck disable=SC2086 # a list of names
apt-get -qq -y --no-install-recommends --download-only install $LAB_OFFERED_PACKAGES
mv /var/cache/apt/archives/*.deb $lab/apt/
cd $lab/apt
for deb in *.deb; do
    dpkg-deb --field "$deb"
    printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' \
        "$deb" "$(stat --format %s "$deb")" "$(sha256sum "$deb" | cut -d ' ' -f 1)"
done >Packages
cd /

# A release without wireguard-go borrows the control machine's, with the C library that it was linked against.
if [ -d $lab/borrowed ]; then
    apt-get -qq -y --no-install-recommends install patchelf >/dev/null
    patchelf --set-interpreter $lab/borrowed/ld-linux-*.so.2 --force-rpath --set-rpath $lab/borrowed \
        $lab/borrowed/wireguard-go
    apt-get -qq -y purge patchelf >/dev/null
    ln -s $lab/borrowed/wireguard-go /usr/bin/wireguard-go
fi

# From here on that is apt's only source, and nobody waits for a network that is not there.
rm -rf /etc/apt/sources.list.d /etc/apt/apt.conf.d/99mmdebstrap
mkdir /etc/apt/sources.list.d
echo 'deb [trusted=yes] file:/opt/lab/apt ./' >/etc/apt/sources.list
cat >/etc/apt/apt.conf.d/90lab <<'END'
Acquire::Languages "none";
APT::Sandbox::User "root";
END
rm -rf /var/lib/apt/lists/*
apt-get -qq update
apt-get clean

# SSH: one host key and one user key for the whole lab, laid in by the lab when it makes a container.
rm -f /etc/ssh/ssh_host_*
mkdir -p /etc/ssh/sshd_config.d
cat >/etc/ssh/sshd_config.d/lab.conf <<'END'
HostKey /opt/lab/keys/ssh_host_ed25519_key
AuthorizedKeysFile .ssh/authorized_keys /opt/lab/keys/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
UseDNS no
# Many short connections at once are a lab's daily bread.
MaxStartups 100:30:200
MaxSessions 100
END

# The database: filled here, started on one host only.
mkdir -p /etc/mysql/mariadb.conf.d
cat >/etc/mysql/mariadb.conf.d/90-lab.cnf <<'END'
[mysqld]
bind-address = *
skip-name-resolve
innodb_buffer_pool_size = 16M
innodb_log_file_size = 8M
performance_schema = off
[client]
# Newer clients insist on a certificate. What protects the query here is the tunnel.
skip-ssl
END
install -d -o mysql -g mysql /run/mysqld
{
    echo 'FLUSH PRIVILEGES;'
    cat $lab/demo.sql
} | "$(command -v mariadbd || command -v mysqld)" --bootstrap --user=mysql >/tmp/mariadb.log 2>&1 || {
    cat /tmp/mariadb.log >&2
    exit 1
}
rm -rf /tmp/mariadb.log

# Units. What touches the machine's own kernel, or waits for what is not there, stays out.
systemctl disable --quiet mariadb.service 2>/dev/null || true
systemctl mask --quiet \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer man-db.timer \
    systemd-binfmt.service systemd-modules-load.service systemd-udevd.service systemd-udev-trigger.service \
    systemd-hwdb-update.service systemd-timesyncd.service systemd-networkd.service \
    getty.target console-getty.service \
    dev-hugepages.mount sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
    proc-sys-fs-binfmt_misc.automount \
    ssh.socket
# A privileged container would write the distribution's settings into the machine's kernel. Those of its own network
# namespace stay: they are what a role meets on a real host.
mkdir -p /etc/sysctl.d
for file in /usr/lib/sysctl.d/*.conf; do
    [ -f "$file" ] || continue
    grep -E '^-?net\.ipv[46]\.' "$file" >"/etc/sysctl.d/${file##*/}" || true
done
install -m 644 $lab/*.service /etc/systemd/system/
systemctl enable --quiet ssh.service lab-host.service
systemctl set-default --quiet multi-user.target
: >/etc/machine-id
touch /etc/default/locale
rm -rf /var/cache/apt/*.bin /var/cache/debconf/*-old /var/log/apt /var/log/*.log /usr/share/doc /usr/share/man \
    /usr/share/locale /usr/share/info
