"""Clients that stop half-way: in the TLS handshake, in the head, in the body, between requests. Each must be ended by the edge in time, while others
are served at once. Arguments: tenant, token."""
import select, socket, sys, time
from client import ADDRESS, PORT, connect, exchange, host, statuses

tenant, token = sys.argv[1:]
NAME, EACH = host(tenant), 40
HEAD = f"Host: {NAME}\r\nAuthorization: Bearer {token}\r\n"
# How each begins, and within how many seconds it is to be over.
SLOW = {
    "handshake": (lambda: socket.create_connection((ADDRESS, PORT), 20), b"\x16\x03\x01", 14),
    "head": (lambda: connect(NAME), b"GET /echo HTTP/1.1\r\nHost: ", 16),
    "body": (lambda: connect(NAME), f"POST /echo HTTP/1.1\r\n{HEAD}Content-Length: 1000\r\n\r\nx".encode(), 40),
    "chunk": (lambda: connect(NAME), f"POST /echo HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nx".encode(), 40),
}
started, open_ = time.monotonic(), {}
for name, (make, first, _) in SLOW.items():
    for _ in range(EACH):
        link = make()
        link.sendall(first)
        link.setblocking(False)
        open_[link] = name
ended, worst = {name: [] for name in SLOW}, 0
while open_ and time.monotonic() - started < 50:
    before = time.monotonic()
    if statuses(exchange(NAME, f"GET /healthz HTTP/1.1\r\n{HEAD}Connection: close\r\n\r\n".encode())) != [200]:
        sys.exit("others are not served")
    worst = max(worst, time.monotonic() - before)
    for link in [*open_]:
        try:
            # A head that comes byte by byte gets no more time for it.
            if open_[link] == "head":
                link.send(b"a")
            while more := link.recv(4096):
                pass
        except (BlockingIOError, OSError) as error:
            if isinstance(error, BlockingIOError) or "want" in str(error).lower() or "did not complete" in str(error):
                continue
        ended[open_.pop(link)].append(time.monotonic() - started)
        link.close()
    time.sleep(0.3)
bad = worst > 3
for name, (_, _, limit) in SLOW.items():
    print(f"{name}: {len(ended[name])} of {EACH} ended, the last after {max(ended[name], default=0):.1f} s; at most {limit} s")
    bad |= len(ended[name]) < EACH or max(ended[name]) > limit
print(f"others waited {worst:.2f} s at most")
sys.exit(bool(bad))
