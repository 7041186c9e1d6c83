# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The edge between a module and its driver: one host, one result, errors as messages."""

from __future__ import annotations

from typing import Any, Callable

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.tenantnet.wireguard.plugins.module_utils.claim import applying
from ansible_collections.tenantnet.wireguard.plugins.module_utils.host import Host, HostError


def run_driver(module: AnsibleModule, driver: Callable[[Host], dict[str, Any]]) -> None:
    """Run a driver and leave the module with what it did.

    The module's option `claim`, where it has one, says which run this is (see claim.py).
    What was changed before an error is part of the failure: the reader must know where it stopped.
    """
    host = Host(check=module.check_mode)
    try:
        with applying(host, module.params.get("claim")):
            result = driver(host)
    except HostError as error:
        module.fail_json(msg=str(error), changes=host.changes, diff=host.diffs)
    else:
        module.exit_json(changed=bool(host.changes), changes=host.changes, diff=host.diffs, **result)
