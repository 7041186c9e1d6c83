#!/usr/bin/python

# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Send and observe probes; the work is done by the module utilities."""

from __future__ import annotations

DOCUMENTATION = r"""
module: probe
short_description: Send probes into a WireGuard tunnel and observe which ones pass
version_added: 0.1.0
description:
  - Finds out which packets a network lets through, for the playbook C(tenantnet.wireguard.verify).
  - First every hub and every peer starts an observer (O(state=observe)), then the peers send (O(state=send)), then
    the observers are collected (O(state=collect)). Whether an answer is the right one is for the controller to judge.
  - Probes are TCP SYNs, UDP datagrams and ICMP echo requests. All of them carry O(marking) in the traffic class, and
    UDP and ICMP probes carry O(run) in the payload.
  - While it sends, the AllowedIPs of the hub on this peer are widened and packets to the probed addresses are led
    into the tunnel, because an attacker owns his client and would do the same. Everything is restored at the end, and
    also when the task is interrupted. After a crash the next O(state=send) restores it first.
author:
  - tenantnet contributors (@tenantnet)
requirements:
  - Linux and root
  - the commands C(ip) (O(state=send)) and C(wg) (with O(hub_public_key))
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
attributes:
  check_mode:
    support: full
    description: Sends, observes and collects nothing, and says so.
  diff_mode:
    support: none
    description: There is nothing to show, all changes are undone before the task ends.
  platform:
    support: full
    platforms: linux
options:
  state:
    description:
      - V(observe) leaves an observer behind that ends by itself after O(seconds).
      - V(send) sends O(probes) and waits for the answers.
      - V(collect) ends the observer, and returns and removes what it saw.
    type: str
    required: true
    choices: [observe, send, collect]
  run:
    description: Name of this run, 16 hexadecimal characters in lower case, the same on all hosts.
    type: str
    required: true
  marking:
    description:
      - DSCP value that probes carry, 0 to 63.
      - An observer looks at no other packets, so that it does not burden a busy hub.
    type: int
    default: 43
  seconds:
    description: Longest life of the observer, 1 to 600 seconds. For O(state=observe).
    type: int
    default: 120
  interfaces:
    description: Names of the interfaces to watch. For O(state=observe).
    type: list
    elements: str
    default: []
  udp_echo:
    description:
      - Where UDP probes of this run are echoed as long as the observer lives. For O(state=observe).
      - A port that is taken is left alone and listed in RV(skipped_echo).
    type: list
    elements: dict
    default: []
    suboptions:
      address:
        description: Address of this host, of either family.
        type: str
        required: true
      port:
        description: UDP port.
        type: int
        required: true
  interface:
    description: WireGuard interface to send through. Required for O(state=send).
    type: str
  source:
    description:
      - IPv4 address in the tunnel to send from.
      - Without it, answers may be lost where the sysctl C(rp_filter) is strict.
    type: str
  source_v6:
    description: IPv6 address in the tunnel to send from.
    type: str
  hub_public_key:
    description:
      - Public key of the hub, one of the peers of O(interface), or V(only) where it has but one peer.
      - Without it AllowedIPs are left alone.
    type: str
  widen:
    description:
      - Prefixes to add to the AllowedIPs of the hub while probes are sent.
      - Prefixes that belong to another peer of O(interface) are left to it, see RV(notes).
    type: list
    elements: str
    default: []
  probes:
    description: What to send. Required for O(state=send).
    type: list
    elements: dict
    suboptions:
      id:
        description: Name of the probe, unique, returned with the answer.
        type: str
        required: true
      address:
        description: Address to send to, of either family.
        type: str
        required: true
      protocol:
        description: Protocol of the probe.
        type: str
        required: true
        choices: [tcp, udp, icmp]
      port:
        description: Port to send to; none for V(icmp).
        type: int
  timeout:
    description: Seconds to wait for an answer to each attempt, 0.05 to 30.
    type: float
    default: 0.8
  attempts:
    description: How often to send a probe that gets no answer, 1 to 10.
    type: int
    default: 3
  concurrency:
    description:
      - Most probes that wait for an answer at a time.
      - The limit of open files may make it less.
    type: int
    default: 256
"""

EXAMPLES = r"""
- name: Observe on a hub
  tenantnet.wireguard.probe:
    state: observe
    run: 0123456789abcdef
    seconds: 90
    interfaces: [tenant-a, tenant-b, eth0]

- name: Observe on a peer, which also echoes UDP
  tenantnet.wireguard.probe:
    state: observe
    run: 0123456789abcdef
    interfaces: [wg0]
    udp_echo:
      - address: 10.100.1.10
        port: 33434

- name: Send
  tenantnet.wireguard.probe:
    state: send
    run: 0123456789abcdef
    interface: wg0
    source: 10.100.1.10
    hub_public_key: 3q2+7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
    widen: [10.100.0.0/16]
    probes:
      - id: db1/tcp/3306
        address: 10.100.254.10
        protocol: tcp
        port: 3306
      - id: db1/icmp
        address: 10.100.254.10
        protocol: icmp
  register: sent

- name: Collect
  tenantnet.wireguard.probe:
    state: collect
    run: 0123456789abcdef
  register: seen
"""

RETURN = r"""
msg:
  description: What was done, in words.
  type: str
  returned: always
answers:
  description: The answers, in the order of O(probes).
  type: list
  elements: dict
  returned: O(state=send)
  contains:
    id:
      description: Name of the probe.
      type: str
      returned: always
    answer:
      description:
        - V(syn-ack) and V(rst) answer TCP, V(reply) and V(port-unreachable) answer UDP, V(echo-reply) answers ICMP.
        - V(icmp) is any other ICMP error, to any probe.
        - V(none) is silence.
        - V(error) means that this host could not send.
      type: str
      returned: always
      sample: syn-ack
    by:
      description:
        - Address that the answer came from, null for V(none) and V(error).
        - A firewall on the way can send V(rst) in the name of the target. Only observers can tell.
      type: str
      returned: always
      sample: 10.100.254.10
    detail:
      description: The ICMP error or the error of this host in words, else null.
      type: str
      returned: always
      sample: communication administratively prohibited (type 3 code 13)
notes:
  description: What was restored from an earlier run, and prefixes that were not widened.
  type: list
  elements: str
  returned: O(state=send)
pid:
  description: Process id of the observer.
  type: int
  returned: O(state=observe)
watching:
  description: Interfaces that are watched.
  type: list
  elements: str
  returned: O(state=observe)
unwatched:
  description: Interfaces that cannot be watched, each with C(interface) and C(reason).
  type: list
  elements: dict
  returned: O(state=observe)
echoing:
  description: Number of addresses and ports of O(udp_echo) that are served.
  type: int
  returned: O(state=observe)
skipped_echo:
  description: Items of O(udp_echo) that are not served, each with C(address), C(port) and C(reason).
  type: list
  elements: dict
  returned: O(state=observe)
observed:
  description: Whether an observer ran and left a result.
  type: bool
  returned: O(state=collect)
reason:
  description: Why there is no result, else null.
  type: str
  returned: O(state=collect)
ended:
  description: V(stopped) if it was ended by this task, V(deadline) if it had ended before, null if there was none.
  type: str
  returned: O(state=collect)
sightings:
  description:
    - The probes that were seen, sorted, each once.
    - Each is a list of interface, V(in) or V(out), family (4 or 6), protocol, source, destination, and destination
      port (0 for ICMP).
  type: list
  elements: list
  returned: O(state=collect)
  sample: [[wg0, in, 4, tcp, 10.100.1.10, 10.100.254.10, 3306]]
overflow:
  description: Whether there was more to note than the observer may keep (200,000).
  type: bool
  returned: O(state=collect)
lost:
  description: Number of packets that came too fast to be looked at.
  type: int
  returned: O(state=collect)
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.tenantnet.wireguard.plugins.module_utils import probe_daemon, probe_send
from ansible_collections.tenantnet.wireguard.plugins.module_utils.probe_packets import ProbeError


def argument_spec():
    """Return the options as in DOCUMENTATION."""
    return {
        "state": {"type": "str", "required": True, "choices": ["observe", "send", "collect"]},
        "run": {"type": "str", "required": True},
        "marking": {"type": "int", "default": 43},
        "seconds": {"type": "int", "default": 120},
        "interfaces": {"type": "list", "elements": "str", "default": []},
        "udp_echo": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {"address": {"type": "str", "required": True}, "port": {"type": "int", "required": True}},
        },
        "interface": {"type": "str"},
        "source": {"type": "str"},
        "source_v6": {"type": "str"},
        "hub_public_key": {"type": "str", "no_log": False},
        "widen": {"type": "list", "elements": "str", "default": []},
        "probes": {
            "type": "list",
            "elements": "dict",
            "options": {
                "id": {"type": "str", "required": True},
                "address": {"type": "str", "required": True},
                "protocol": {"type": "str", "required": True, "choices": ["tcp", "udp", "icmp"]},
                "port": {"type": "int"},
            },
        },
        "timeout": {"type": "float", "default": 0.8},
        "attempts": {"type": "int", "default": 3},
        "concurrency": {"type": "int", "default": 256},
    }


def observe(params):
    """Start an observer; return the result of the task."""
    result = probe_daemon.start(
        params["run"], params["seconds"], params["interfaces"], params["udp_echo"], params["marking"]
    )
    result["msg"] = f"observing for at most {params['seconds']} seconds"
    return result


def collect(params):
    """End the observer; return the result of the task."""
    result = probe_daemon.collect(params["run"])
    result["msg"] = result["reason"] or f"{len(result['sightings'])} different probes were seen"
    return result


def send(params):
    """Send the probes; return the result of the task."""
    names = ("run", "interface", "probes", "source", "source_v6", "hub_public_key", "widen")
    limits = ("timeout", "attempts", "concurrency", "marking")
    result = probe_send.send(**{name: params[name] for name in names + limits})
    answered = sum(answer["answer"] not in ("none", "error") for answer in result["answers"])
    result["msg"] = f"{answered} of {len(result['answers'])} probes were answered"
    return result


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec=argument_spec(),
        required_if=[("state", "send", ("interface", "probes"))],
        supports_check_mode=True,
    )
    state = module.params["state"]
    if module.check_mode:
        module.exit_json(changed=False, msg=f"check mode: {state} was not done")
    try:
        result = {"observe": observe, "collect": collect, "send": send}[state](module.params)
    except (ProbeError, OSError) as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
