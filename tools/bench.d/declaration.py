# SPDX-License-Identifier: GPL-3.0-or-later
"""A large declaration to measure with: every tenant has one segment, all of them use one shared service."""

from __future__ import annotations

import base64
import hashlib
from typing import Any


def public_key(name: str) -> str:
    """Make a key that is one by its form only: nothing is encrypted in a benchmark."""
    return base64.b64encode(hashlib.sha256(name.encode()).digest()).decode()


def declaration(tenants: int, peers: int) -> dict[str, Any]:
    """Return the variables of a fabric with so many tenants, each with so many external peers."""
    return {
        "wireguard_fabric": "bench",
        "wireguard_supernet": "10.0.0.0/8",
        "wireguard_supernet_v6": "fd64:e5a::/40",
        "wireguard_tenants": [
            {
                "name": f"tenant-{number:04}",
                "segments": [
                    {
                        "name": "production",
                        "peers": [
                            {"name": f"peer-{peer:03}", "public_key": public_key(f"{number}/{peer}")}
                            for peer in range(peers)
                        ],
                    }
                ],
            }
            for number in range(tenants)
        ]
        + [
            {
                "name": "shared",
                "segments": [{"name": "services", "peers": [{"name": "db", "public_key": public_key("db")}]}],
            }
        ],
        "wireguard_services": [{"name": "mysql", "at": "shared/services/db", "ports": ["tcp/3306"]}],
        "wireguard_policies": [
            {"name": f"mysql-{number:04}", "from": [f"tenant-{number:04}"], "to": ["service:mysql"]}
            for number in range(tenants)
        ],
    }
