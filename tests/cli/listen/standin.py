"""A tunnel for tests: as `cloudflared` or `ngrok`, whichever it is called, it says its address in that program's words
and forwards for real, from a TLS port with the certificate that the environment names."""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
from pathlib import Path

BOX = """\
2026-05-23T02:40:00Z INF Requesting new quick Tunnel on trycloudflare.com...
2026-05-23T02:40:01Z INF +--------------------------------------------------------------------------------------------+
2026-05-23T02:40:01Z INF |  Your quick Tunnel has been created! Visit it at (it may take some time to be reachable):  |
2026-05-23T02:40:01Z INF |  {url}                                                                   |
2026-05-23T02:40:01Z INF +--------------------------------------------------------------------------------------------+
"""
LOGFMT = """\
t=2026-05-23T02:40:00+0000 lvl=info msg="open config file" path=/dev/null err=nil
t=2026-05-23T02:40:01+0000 lvl=info msg="started tunnel" obj=tunnels name=command_line addr=http://127.0.0.1 url={url}
"""


def asked() -> tuple[str, int]:
    """Its name, and the port that it was told to forward to."""
    name, arguments = Path(sys.argv[0]).name, sys.argv[1:]
    if name == "ngrok":
        assert arguments[0] == "http"
        return name, int(arguments[1].rpartition(":")[2])
    assert arguments[0] == "tunnel"
    assert Path(arguments[arguments.index("--config") + 1]).read_bytes() == b""
    return name, int(arguments[arguments.index("--url") + 1].rpartition(":")[2])


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    except OSError:
        pass
    finally:
        sink.close()


async def main() -> None:
    name, port = asked()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        beyond, onward = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, onward), pump(beyond, writer))

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(os.environ["STANDIN_CERTIFICATE"], os.environ["STANDIN_KEY"])
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    Path(os.environ["STANDIN_PID"]).write_text(str(os.getpid()))
    url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
    stream, words = (sys.stdout, LOGFMT) if name == "ngrok" else (sys.stderr, BOX)
    stream.write(words.format(url=url))
    stream.flush()
    await server.serve_forever()


asyncio.run(main())
