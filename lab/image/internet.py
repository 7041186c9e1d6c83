# SPDX-License-Identifier: GPL-3.0-or-later
"""The internet side's services: TCP 80 and 443 say who is asking, UDP 53 sends back what it got.

The caller's address in the answer shows what a hub's address translation made of it.
"""

from __future__ import annotations

import asyncio
import os
import socket

TCP_PORTS = (80, 443)
UDP_PORT = 53


class Echo(asyncio.DatagramProtocol):
    """Sends every datagram back to where it came from."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport to answer through."""
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple) -> None:
        """Answer."""
        self.transport.sendto(data, addr)  # type: ignore[attr-defined]


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one connection: whoever connects is told their address, whatever they ask."""
    try:
        text = f"internet1 {writer.get_extra_info('sockname')[0]}, asked by {writer.get_extra_info('peername')[0]}\n"
        head = f"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\n\r\n"
        # A client of HTTP asks first; anybody else needn't.
        await asyncio.wait([asyncio.ensure_future(reader.read(4096))], timeout=0.5)
        writer.write((head + text).encode())
        await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def main() -> None:
    """Listen on each of the lab's internet addresses, and on those only, so that answers come from them."""
    loop = asyncio.get_running_loop()
    for address in os.environ["LAB_ADDRESSES"].split():
        host = address.split("/")[0]
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        for port in TCP_PORTS:
            await asyncio.start_server(answer, host, port, family=family)
        await loop.create_datagram_endpoint(Echo, local_addr=(host, UDP_PORT), family=family)
    await asyncio.Event().wait()


asyncio.run(main())
