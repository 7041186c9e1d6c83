# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab: hosts in systemd containers on one isolated bridge of this machine."""
