#!/usr/bin/python

# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the keys of a managed peer on the host itself."""

from __future__ import annotations

DOCUMENTATION = r"""
module: peer_keys
short_description: Make the keys of a managed peer on the host itself
version_added: 0.1.0
description:
  - Makes the private key of each membership of a host where there is none, mode 0600 from the first byte, and
    returns the public keys.
  - In a playbook its arguments come from the plan, through the action plugin of the same name.
author:
  - tenantnet contributors (@tenantnet)
extends_documentation_fragment:
  - tenantnet.wireguard.attributes
  - ansible.builtin.action_common_attributes
options:
  memberships:
    description:
      - The peers that this host is, each with its id (C(party)) and the C(interface) of its tunnel.
      - An interface that runs keeps its key, also when its peer was renamed or the file of its key was lost.
      - Filled in by the action plugin.
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: Make the keys of this peer
  tenantnet.wireguard.peer_keys:
"""

RETURN = r"""
changes:
  description: What was changed, or would be, in the order of doing.
  type: list
  elements: str
  returned: always
  sample: [write /etc/tenantnet/firewall.nft, "load the firewall, generation 2"]
public_keys:
  description: The public key of each peer that this host is.
  type: dict
  returned: success
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.tenantnet.wireguard.plugins.module_utils import interfaces, keys
from ansible_collections.tenantnet.wireguard.plugins.module_utils.edge import run_driver
from ansible_collections.tenantnet.wireguard.plugins.module_utils.host import Host


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"memberships": {"type": "list", "elements": "dict", "default": []}},
        supports_check_mode=True,
    )

    def drive(host: Host) -> dict[str, Any]:
        found = {}
        running = interfaces.running_keys(host)
        for item in module.params["memberships"]:
            private = keys.ensure_key(host, item["party"], running.get(item["interface"]))
            if private is not None and host.has_command("wg"):
                found[item["party"]] = keys.public_key(host, private)
        return {"public_keys": found}

    run_driver(module, drive)


if __name__ == "__main__":
    main()
