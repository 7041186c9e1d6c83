# SPDX-License-Identifier: GPL-3.0-or-later
"""Let every test import the collection the way Ansible does.

ansible-test brings its own collection finder. Plain pytest gets Ansible's here, before anything of the collection is
imported: a test that starts the plugin loader later would find modules that were imported past it, and fail.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ansible.utils.collection_loader import AnsibleCollectionConfig

if AnsibleCollectionConfig.collection_finder is None:
    from ansible.plugins.loader import init_plugin_loader

    init_plugin_loader([str(Path(__file__).parents[1] / ".collections")])

sys.path.insert(0, str(Path(__file__).parent))
import proof

pytest_configure = proof.pytest_configure
pytest_collection_modifyitems = proof.pytest_collection_modifyitems
