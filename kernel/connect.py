# SPDX-License-Identifier: GPL-3.0-or-later
"""ssh's ProxyCommand into the guests' network: makes the connection there and hands it to ssh.

Started by nsenter in the guests' network namespace, with ProxyUseFdpass=yes: no byte of the session goes through here.
"""

import socket
import sys

with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10) as connection:
    connection.setblocking(True)
    with socket.socket(fileno=1) as ssh:
        socket.send_fds(ssh, [b"\0"], [connection.fileno()])
