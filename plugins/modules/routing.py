#!/usr/bin/python

# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reconcile the routing rules and closed tables of the fabric on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: routing
short_description: Reconcile the routing rules and closed tables of the fabric on a host
version_added: 0.1.0
description:
  - Makes the forwarding settings, the routing table names, the routing rules of both families and the last route of
    every table what the plan says, in the running kernel and for the next boot.
  - Rules and routes of others are never touched; those of the fabric carry the routing protocol 94.
  - In a playbook its arguments come from the plan, through the action plugin of the same name.
author:
  - tenantnet contributors (@tenantnet)
extends_documentation_fragment:
  - tenantnet.wireguard.attributes
  - ansible.builtin.action_common_attributes
options:
  scope:
    description: Which slice of the plan the action plugin takes, the one of a hub or the one of a peer.
    type: str
    choices: [hub, peer]
    default: hub
  plan:
    description: The routing part of a plan. Filled in by the action plugin.
    type: dict
  claim:
    description: Which run this is, so that no run overtakes another. Filled in by the action plugin on a hub.
    type: dict
"""

EXAMPLES = r"""
- name: Route the fabric on a hub
  tenantnet.wireguard.routing:
    scope: hub
"""

RETURN = r"""
changes:
  description: What was changed, or would be, in the order of doing.
  type: list
  elements: str
  returned: always
  sample: [write /etc/tenantnet/firewall.nft, "load the firewall, generation 2"]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.tenantnet.wireguard.plugins.module_utils import routing
from ansible_collections.tenantnet.wireguard.plugins.module_utils.edge import run_driver
from ansible_collections.tenantnet.wireguard.plugins.module_utils.host import Host


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "scope": {"type": "str", "choices": ["hub", "peer"], "default": "hub"},
            "plan": {"type": "dict"},
            "claim": {"type": "dict"},
        },
        supports_check_mode=True,
    )

    def drive(host: Host) -> dict[str, Any]:
        routing.reconcile(host, module.params["plan"])
        return {}

    run_driver(module, drive)


if __name__ == "__main__":
    main()
