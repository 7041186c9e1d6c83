# SPDX-License-Identifier: GPL-3.0-or-later
"""The image that the lab's hosts are made from: a small Debian with systemd, made on this machine and kept.

`TENANTNET_LAB_RELEASE` chooses the Debian release of the hosts that have none of their own. `TENANTNET_LAB_IMAGE` names
an image of Debian or Ubuntu that podman can pull, to start from that instead of a mirror.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import time
from pathlib import Path

from labkit.machine import LabError, lab_home, podman, run, say

RECIPE = Path(__file__).resolve().parent.parent / "image"
REPOSITORY = "localhost/tenantnet-lab"

PACKAGES = [
    "systemd", "systemd-sysv", "dbus", "python3", "python3-apt", "openssh-server", "sudo", "iproute2", "iputils-ping",
    "procps", "ca-certificates", "mariadb-server", "mariadb-client", "iperf3", "tcpdump", "wireguard-go",
]  # fmt: skip
# What the collection's roles install themselves: offered by a package repository inside the image.
OFFERED = [
    "wireguard-tools", "nftables", "conntrack", "rsyslog", "logrotate", "prometheus-node-exporter", "ethtool",
    "qrencode",
]  # fmt: skip

# Releases whose kernel has WireGuard and whose packages lack a stand-in for it.
WITHOUT_WIREGUARD_GO = {"bullseye"}


def release(own: str = "") -> str:
    """The Debian release of a host: its own, or what the user chose for all others."""
    if own:
        return own
    name = os.environ.get("TENANTNET_LAB_RELEASE") or "bookworm"
    if not re.fullmatch(r"[a-z]+", name):
        raise LabError(f"TENANTNET_LAB_RELEASE is {name!r}: give a release's code name, as bookworm")
    return name


def base(own: str = "") -> str:
    """The image to start from, if the user named one; a host with a release of its own takes no other."""
    return "" if own else os.environ.get("TENANTNET_LAB_IMAGE") or ""


def tag(own: str = "") -> str:
    """The image's name, which changes with everything that it is made from; own: a host's own release."""
    recipe = hashlib.sha256(repr((base(own), PACKAGES, OFFERED)).encode())
    for file in sorted(RECIPE.iterdir()):
        recipe.update(file.name.encode() + b"\0" + file.read_bytes())
    return f"{REPOSITORY}:{'named' if base(own) else release(own)}-{recipe.hexdigest()[:12]}"


def mirrors() -> list[str]:
    """The Debian mirrors that this machine's own apt uses; empty where it uses none."""
    codename = ""
    for line in Path("/etc/os-release").read_text().splitlines():
        if line.startswith("VERSION_CODENAME="):
            codename = line.split("=", 1)[1].strip("\"'")
    found: list[str] = []
    places = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    for place in places:
        if not place.is_file():
            continue
        text = re.sub(r"(?m)#.*$", "", place.read_text(errors="replace"))
        entries: list[tuple[list[str], list[str], list[str]]] = []  # addresses, suites, components
        if place.suffix == ".sources":
            for stanza in re.split(r"\n\s*\n", re.sub(r"(?m)^\s*\n", "\n", text)):
                # A field goes on in the lines below it that start with a space.
                fields = dict(re.findall(r"(?m)^([\w-]+):[ \t]*(.*(?:\n[ \t]+.*)*)", stanza))
                if "deb" in fields.get("Types", "").split() and fields.get("Enabled", "yes").strip() != "no":
                    entries.append(
                        (
                            fields.get("URIs", "").split(),
                            fields.get("Suites", "").split(),
                            fields.get("Components", "").split(),
                        )
                    )
        elif place.suffix == ".list":
            for match in re.finditer(r"(?m)^\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+(.*)$", text):
                entries.append(([match[1]], [match[2]], match[3].split()))
        for addresses, suites, components in entries:
            if codename in suites and "main" in components:
                found += [address for address in addresses if "debian" in address and address not in found]
    return found


def ensure(own: str = "", *, quiet: bool = False) -> str:
    """See to it that podman has the image, and return its name."""
    name = tag(own)
    if podman("image", "exists", name, check=False).returncode == 0:
        if not quiet:
            say(f"image {name} is there")
        return name
    start = time.monotonic()
    if base(own):
        _provision_named(name)
    else:
        _import(name, archive(own))
        _tidy(release(own))
    say(f"image {name} is ready ({time.monotonic() - start:.0f} s)")
    return name


def forget() -> None:
    """Remove the lab's images, from podman and from the cache."""
    for name in podman("images", "--format={{.Repository}}:{{.Tag}}", REPOSITORY).stdout.split():
        podman("rmi", name)
    for archive in (lab_home() / "images").glob("*.tar"):
        archive.unlink()


def archive(own: str = "") -> Path:
    """Make the image's files from a Debian mirror, or find them made by an earlier call."""
    made = lab_home() / "images" / (tag(own).rpartition(":")[2] + ".tar")
    if made.exists():
        say("taking the hosts' image from the cache")
        return made
    say(f"making the hosts' image, Debian {release(own)}, from packages (1 to 3 minutes, once)")
    made.parent.mkdir(parents=True, exist_ok=True)
    unfinished = made.with_suffix(f".{os.getpid()}.tar")
    packages, borrow = PACKAGES, ""
    if release(own) in WITHOUT_WIREGUARD_GO:
        packages = [package for package in PACKAGES if package != "wireguard-go"]
        program = shutil.which("wireguard-go")
        if program is None:
            raise LabError("wireguard-go is not installed: call tools/setup")
        files = [program, *re.findall(r"(/\S+)", run(["ldd", program]).stdout)]
        borrow = f'mkdir -p "$1/opt/lab/borrowed" && cp -L {shlex.join(files)} "$1/opt/lab/borrowed/" && '
    hook = borrow + (
        f'mkdir -p "$1/opt/lab" && cp {shlex.quote(str(RECIPE))}/* "$1/opt/lab/" && '
        f'LAB_OFFERED_PACKAGES={shlex.quote(" ".join(OFFERED))} chroot "$1" /opt/lab/provision.sh'
    )
    command = [
        "mmdebstrap", "--quiet", "--variant=minbase", "--skip=cleanup/apt",
        f"--include={','.join(packages)}", f"--customize-hook={hook}",
        *_proxies(), release(own), str(unfinished), *mirrors(),
    ]  # fmt: skip
    try:
        run(command, timeout=1800)
        unfinished.rename(made)
    finally:
        unfinished.unlink(missing_ok=True)
    return made


def _tidy(name: str) -> None:
    """Keep the latest two images of a release (two checkouts may differ) and remove what is older: they are large."""
    made = lab_home() / "images"
    finished = re.compile(rf"{name}-[0-9a-f]{{12}}\.tar")
    archives = [file for file in made.iterdir() if finished.fullmatch(file.name)]
    for old in sorted(archives, key=lambda file: file.stat().st_mtime)[:-2]:
        old.unlink()
    known = podman("images", "--format={{.Repository}}:{{.Tag}}", REPOSITORY).stdout.split()
    for each in known:
        label = each.rpartition(":")[2]
        if label.startswith(f"{name}-") and not (made / f"{label}.tar").exists():
            # Refused, rightly, while a host uses it.
            podman("rmi", each, check=False)


def _proxies() -> list[str]:
    """This machine's own way to its mirror."""
    found = []
    for key in ("Acquire::http::Proxy", "Acquire::https::Proxy"):
        value = run(["apt-config", "shell", "value", key], check=False).stdout.strip()
        if value:
            found.append(f'--aptopt={key} "{shlex.split(value)[0].partition("=")[2]}"')
    return found


def _import(name: str, files: Path) -> None:
    done = podman(
        "import", "--change", "CMD=/sbin/init", "--change", "STOPSIGNAL=SIGRTMIN+3", str(files), name, check=False
    )
    if done.returncode != 0:
        # Not to stumble over the same broken file each time.
        files.unlink(missing_ok=True)
        raise LabError(f"podman could not import {files}, which is removed now: try again\n  {done.stderr.strip()}")


def _provision_named(name: str) -> None:
    """Make the image from one that the user named, by installing the same packages in it."""
    say(f"making the hosts' image from {base()} (a few minutes, once)")
    if podman("image", "exists", base(), check=False).returncode != 0:
        podman("pull", "--quiet", base(), timeout=1800)
    worker = f"tenantnet-image-{os.getpid()}"
    script = (
        "set -e; export DEBIAN_FRONTEND=noninteractive; mkdir -p /opt/lab; cp /recipe/* /opt/lab/; apt-get -qq update; "
        f"apt-get -qq -y --no-install-recommends install {' '.join(PACKAGES)} >/dev/null; /opt/lab/provision.sh"
    )
    try:
        podman(
            "run", "--name", worker, "--privileged", "--network=host", "--volume", f"{RECIPE}:/recipe:ro",
            "--env", f"LAB_OFFERED_PACKAGES={' '.join(OFFERED)}", "--entrypoint", "/bin/sh", base(), "-c", script,
            timeout=1800,
        )  # fmt: skip
        podman(
            "commit",
            "--quiet",
            "--change",
            "ENTRYPOINT []",
            "--change",
            "CMD /sbin/init",
            "--change",
            "STOPSIGNAL SIGRTMIN+3",
            worker,
            name,
        )
    finally:
        podman("rm", "--force", "--time=0", worker, check=False)
