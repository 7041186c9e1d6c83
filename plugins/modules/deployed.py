#!/usr/bin/python

# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read or keep what was deployed on a hub."""

from __future__ import annotations

DOCUMENTATION = r"""
module: deployed
short_description: Read or keep what was deployed on a hub
version_added: 0.1.0
description:
  - Keeps the overview of the plan on the hub that enforces it, so that a later run can say what it would change and
    refuses to renumber or remove what nobody asked for.
author:
  - tenantnet contributors (@tenantnet)
extends_documentation_fragment:
  - tenantnet.wireguard.attributes
  - ansible.builtin.action_common_attributes
options:
  state:
    description: V(read) returns what is kept, V(kept) keeps what the action plugin fills in.
    type: str
    choices: [read, kept]
    default: read
  overview:
    description: The overview to keep. Filled in by the action plugin.
    type: dict
  claim:
    description: Which run this is, so that no run overtakes another. Filled in by the action plugin on a hub.
    type: dict
"""

EXAMPLES = r"""
- name: Keep what was deployed
  tenantnet.wireguard.deployed:
    state: kept
"""

RETURN = r"""
changes:
  description: What was changed, or would be, in the order of doing.
  type: list
  elements: str
  returned: always
  sample: [write /etc/tenantnet/firewall.nft, "load the firewall, generation 2"]
overview:
  description: The overview that is kept, or nothing where none is.
  type: dict
  returned: O(state=read)
revision:
  description: How often a run has changed this hub.
  type: int
  returned: O(state=read)
"""

import json
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.tenantnet.wireguard.plugins.module_utils import claim
from ansible_collections.tenantnet.wireguard.plugins.module_utils.edge import run_driver
from ansible_collections.tenantnet.wireguard.plugins.module_utils.host import Host, HostError

FILE = "/var/lib/tenantnet/deployed.json"


def read(host: Host) -> dict[str, Any]:
    """Return what is kept."""
    text = host.read(FILE)
    try:
        overview = None if text is None else json.loads(text)
        return {"overview": overview, "revision": claim.read_revision(host)}
    except ValueError as error:
        raise HostError(f"{FILE} is damaged: restore it from a backup, or remove it to deploy anew") from error


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["read", "kept"], "default": "read"},
            "overview": {"type": "dict"},
            "claim": {"type": "dict"},
        },
        supports_check_mode=True,
    )

    def drive(host: Host) -> dict[str, Any]:
        if module.params["state"] == "read":
            return read(host)
        text = json.dumps(module.params["overview"], indent=1, sort_keys=True) + "\n"
        host.ensure_file(FILE, text, 0o600, folder_mode=0o700)
        return {}

    run_driver(module, drive)


if __name__ == "__main__":
    main()
