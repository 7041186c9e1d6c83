#!/usr/bin/python

# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the public keys of a hub's segments."""

from __future__ import annotations

DOCUMENTATION = r"""
module: hub_keys
short_description: Read the public keys of a hub's segments
version_added: 0.1.0
description:
  - Returns the public key of each segment's interface on a hub, for peers that are deployed while their hub is not.
  - Reads only. In a playbook it is delegated to the hub.
author:
  - tenantnet contributors (@tenantnet)
extends_documentation_fragment:
  - tenantnet.wireguard.attributes.reads
  - ansible.builtin.action_common_attributes
"""

EXAMPLES = r"""
- name: Read the keys of the hub
  tenantnet.wireguard.hub_keys:
  delegate_to: hub1
"""

RETURN = r"""
public_keys:
  description: Public keys by segment.
  type: dict
  returned: success
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.tenantnet.wireguard.plugins.module_utils import interfaces
from ansible_collections.tenantnet.wireguard.plugins.module_utils.edge import run_driver
from ansible_collections.tenantnet.wireguard.plugins.module_utils.host import Host


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)

    def drive(host: Host) -> dict[str, Any]:
        return {"public_keys": interfaces.live_public_keys(host)}

    run_driver(module, drive)


if __name__ == "__main__":
    main()
