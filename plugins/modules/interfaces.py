#!/usr/bin/python

# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reconcile all WireGuard interfaces of the fabric on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: interfaces
short_description: Reconcile all WireGuard interfaces of the fabric on a host
version_added: 0.1.0
description:
  - Makes every interface of the fabric on this host what the plan says, files for the next boot and live state, by
    differences against the kernel. An interface that stands is never restarted, and a peer that stays is never
    written again.
  - Private keys are made on the host, mode 0600 from the first byte, and never leave it.
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
  interfaces:
    description: The interfaces with their addresses, routes and peers. Filled in by the action plugin.
    type: list
    elements: dict
    default: []
  reported:
    description: Public keys that other hosts told in this run, by party. Filled in by the action plugin.
    type: dict
    default: {}
  accepted:
    description: Parties whose changed key is let in. Filled in by the action plugin.
    type: list
    elements: str
    default: []
  removable:
    description:
      - Tenants, segments or peers whose interfaces may be removed. Filled in by the action plugin.
      - Used where O(scope=peer); on a hub M(tenantnet.wireguard.retired) has removed them before.
    type: list
    elements: str
    default: []
  claim:
    description: Which run this is, so that no run overtakes another. Filled in by the action plugin on a hub.
    type: dict
"""

EXAMPLES = r"""
- name: Bring up the segments of a hub
  tenantnet.wireguard.interfaces:
    scope: hub
"""

RETURN = r"""
changes:
  description: What was changed, or would be, in the order of doing.
  type: list
  elements: str
  returned: always
  sample: [write /etc/tenantnet/firewall.nft, "load the firewall, generation 2"]
public_keys:
  description: The public key of each interface.
  type: dict
  returned: success
pending:
  description: Parties that could not be let in yet, each with the reason.
  type: list
  elements: dict
  returned: success
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.tenantnet.wireguard.plugins.module_utils import interfaces, known_keys
from ansible_collections.tenantnet.wireguard.plugins.module_utils.edge import run_driver
from ansible_collections.tenantnet.wireguard.plugins.module_utils.host import Host


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "scope": {"type": "str", "choices": ["hub", "peer"], "default": "hub"},
            "interfaces": {"type": "list", "elements": "dict", "default": []},
            "reported": {"type": "dict", "default": {}},
            "accepted": {"type": "list", "elements": "str", "default": []},
            "removable": {"type": "list", "elements": "str", "default": []},
            "claim": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    params = module.params

    def drive(host: Host) -> dict[str, Any]:
        complete, pending = known_keys.resolve(host, params["interfaces"], params["reported"], params["accepted"])
        if params["scope"] == "peer":
            # A peer knows nobody but its hub: without the hub's key there is nothing to bring up yet.
            complete = [interface for interface in complete if interface["peers"]]
            interfaces.retire(host, {interface["name"] for interface in complete}, params["removable"])
        return {"public_keys": interfaces.reconcile(host, complete), "pending": pending}

    run_driver(module, drive)


if __name__ == "__main__":
    main()
