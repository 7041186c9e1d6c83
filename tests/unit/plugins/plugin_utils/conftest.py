# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How hard hypothesis looks: TENANTNET_HYPOTHESIS=deep for a search of minutes, with new examples each time."""

from __future__ import annotations

from ansible_collections.tenantnet.wireguard.tests.unit.support.effort import DEEP, PROFILE, QUICK
from hypothesis import HealthCheck, Phase, settings

# Declarations are large examples: drawing them takes longer than hypothesis thinks it should.
_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
# The same examples in every run: a red run is the doing of a change, not of chance. It shows the first bad example at
# once; making a small one of it takes minutes, which is for the deep search.
settings.register_profile(
    "quick",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=QUICK,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=_SLOW,
)
settings.register_profile("deep", deadline=None, max_examples=DEEP, suppress_health_check=_SLOW)
settings.load_profile(PROFILE)
