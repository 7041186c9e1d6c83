#!/usr/bin/python

# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell which commands of the fabric a host lacks."""

from __future__ import annotations

DOCUMENTATION = r"""
module: requirements
short_description: Tell which commands of the fabric a host lacks
version_added: 0.1.0
description:
  - Looks for commands in the usual folders and returns those that are missing, so that packages are only looked at
    on a host that needs them.
author:
  - tenantnet contributors (@tenantnet)
extends_documentation_fragment:
  - tenantnet.wireguard.attributes.reads
  - ansible.builtin.action_common_attributes
options:
  commands:
    description: The commands to look for.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Look for what WireGuard needs
  tenantnet.wireguard.requirements:
    commands: [wg, nft, ip]
  register: __hub_requirements
"""

RETURN = r"""
missing:
  description: The commands that are not there.
  type: list
  elements: str
  returned: success
  sample: [wg]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.tenantnet.wireguard.plugins.module_utils.host import Host


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"commands": {"type": "list", "elements": "str", "required": True}},
        supports_check_mode=True,
    )
    host = Host(check=module.check_mode)
    missing = [name for name in module.params["commands"] if not host.has_command(name)]
    module.exit_json(changed=False, missing=missing)


if __name__ == "__main__":
    main()
