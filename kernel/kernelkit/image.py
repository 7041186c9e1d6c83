# SPDX-License-Identifier: GPL-3.0-or-later
"""What guests are started from: the kernel and the image of their disk, each made once and kept."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from labkit import containers, image
from labkit.machine import LabError, run, say

from kernelkit.hosts import home

FOLDER = Path(__file__).resolve().parent.parent
# What the disk can hold; the file is as large as what is on it.
DISK_SIZE = "3G"
CANNOT = 3


class CannotBuildError(LabError):
    """This machine can't build the kernel, through no fault of the recipe."""


def _hash(*parts: bytes) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()[:12]


def kernel_path() -> Path:
    """The kernel's file, named by its recipe."""
    return home() / f"linux-{_hash((FOLDER / 'build').read_bytes(), (FOLDER / 'linux.config').read_bytes())}"


def ensure_kernel() -> Path:
    """Build the kernel, if it isn't there.

    :raises CannotBuildError: this machine can't.
    """
    kernel = kernel_path()
    if kernel.exists():
        return kernel
    home().mkdir(parents=True, exist_ok=True)
    # It tells by itself how far it is.
    done = subprocess.run([FOLDER / "build", kernel], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    said = done.stderr.decode(errors="replace").strip()
    if done.returncode == CANNOT:
        raise CannotBuildError(said.removeprefix("kernel: "))
    if done.returncode or not kernel.exists():
        raise LabError(f"the kernel's build failed: {said}")
    for old in home().glob("linux-*"):
        if not old.name.startswith(kernel.name):
            old.unlink()
    return kernel


def image_path() -> Path:
    """The image of the guests' disk, named by all that it is made from, the lab's SSH keys included."""
    recipe = [file.name.encode() + b"\0" + file.read_bytes() for file in sorted((FOLDER / "image").iterdir())]
    keys = [file.read_bytes() for file in sorted(containers.keys().iterdir())]
    return home() / f"root-{_hash(image.tag().encode(), DISK_SIZE.encode(), *recipe, *keys)}.img"


def ensure_image() -> Path:
    """Make the image of the guests' disk, if it isn't there."""
    disk = image_path()
    if disk.exists():
        return disk
    begin = time.monotonic()
    home().mkdir(parents=True, exist_ok=True)
    # The lab's own image, from its cache where it is: the same Debian, the same packages offered inside.
    files = image.archive()
    say("making the guests' disk from it")
    work = Path(tempfile.mkdtemp(prefix="root.", dir=home()))
    unfinished = home() / f"{work.name}.img"
    try:
        run(["tar", "--extract", "--numeric-owner", "--xattrs", f"--directory={work}", f"--file={files}"])
        shutil.copytree(FOLDER / "image", work / "opt/lab/kernel")
        shutil.copytree(containers.keys(), work / "opt/lab/keys", dirs_exist_ok=True)
        (work / "opt/lab/keys").chmod(0o755)
        run(["chroot", str(work), "/opt/lab/kernel/provision.sh"])
        # No lazy initialisation: guests would spend their first minutes on it.
        options = "lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0"
        run(["mkfs.ext4", "-q", "-F", "-E", options, "-m", "0", "-d", str(work), str(unfinished), DISK_SIZE])
        unfinished.rename(disk)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        unfinished.unlink(missing_ok=True)
    used = {file.read_text() for file in home().glob("guests/*/image")}
    for old in home().glob("root-*.img"):
        if old != disk and str(old) not in used:
            old.unlink()
    say(f"the guests' disk is ready ({time.monotonic() - begin:.0f} s)")
    return disk
