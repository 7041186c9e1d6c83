#!/usr/bin/python

# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replace the firewall of the fabric on a hub in one transaction."""

from __future__ import annotations

DOCUMENTATION = r"""
module: firewall
short_description: Replace the firewall of the fabric on a hub in one transaction
version_added: 0.1.0
description:
  - Loads one nftables table of our own, C(inet tenantnet), and keeps it for the next boot, where it is loaded before
    any interface of the fabric comes up.
  - A ruleset that nft refuses changes nothing. Tables of others are never touched.
  - A change of the enforced policy takes a new generation, which ends established flows that are no longer allowed
    and nobody else.
  - In a playbook its arguments come from the plan, through the action plugin of the same name.
author:
  - tenantnet contributors (@tenantnet)
extends_documentation_fragment:
  - tenantnet.wireguard.attributes
  - ansible.builtin.action_common_attributes
options:
  ruleset:
    description: The text of the firewall. Filled in by the action plugin.
    type: str
  uplinks:
    description: Interfaces that lead to the internet; those of the default routes when absent. From the plan.
    type: list
    elements: str
  claim:
    description: Which run this is, so that no run overtakes another. Filled in by the action plugin on a hub.
    type: dict
"""

EXAMPLES = r"""
- name: Guard the fabric on a hub
  tenantnet.wireguard.firewall:
"""

RETURN = r"""
changes:
  description: What was changed, or would be, in the order of doing.
  type: list
  elements: str
  returned: always
  sample: [write /etc/tenantnet/firewall.nft, "load the firewall, generation 2"]
generation:
  description: The generation that is in force.
  type: int
  returned: success
  sample: 2
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.tenantnet.wireguard.plugins.module_utils import firewall
from ansible_collections.tenantnet.wireguard.plugins.module_utils.edge import run_driver
from ansible_collections.tenantnet.wireguard.plugins.module_utils.host import Host


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "ruleset": {"type": "str"},
            "uplinks": {"type": "list", "elements": "str"},
            "claim": {"type": "dict"},
        },
        supports_check_mode=True,
    )

    def drive(host: Host) -> dict[str, Any]:
        return firewall.reconcile(host, module.params["ruleset"], module.params["uplinks"])

    run_driver(module, drive)


if __name__ == "__main__":
    main()
