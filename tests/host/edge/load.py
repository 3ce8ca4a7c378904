"""One new connection after another for some seconds; says how many were answered, torn off and refused. Arguments: tenant, token, seconds, file."""
import pathlib, sys, time
from client import connect, host

tenant, token, seconds, file = sys.argv[1:]
count = dict.fromkeys(("answered", "torn", "refused"), 0)
until = time.monotonic() + float(seconds)
while time.monotonic() < until:
    try:
        link = connect(host(tenant))
        link.sendall(f"GET /healthz HTTP/1.1\r\nHost: {host(tenant)}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n".encode())
        count["answered" if b" 200 " in link.recv(4096) else "torn"] += 1
    except ConnectionRefusedError:
        count["refused"] += 1
    except OSError:
        count["torn"] += 1
pathlib.Path(file).write_text("\n".join(f"{name} {number}" for name, number in count.items()) + "\n")
