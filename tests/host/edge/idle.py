"""Many idle WebSockets, each answering after a while. Arguments: tenant, token, number, pid of the edge."""
import sys, time
from client import WebSocket


def held(pid):
    return int(next(line for line in open(f"/proc/{pid}/smaps_rollup") if line.startswith("Pss:")).split()[1])


tenant, token, number, pid = sys.argv[1:]
before = held(pid)
sockets = [WebSocket(tenant, [f"Authorization: Bearer {token}"], "/ws") for _ in range(int(number))]
if any(socket.status != 101 for socket in sockets):
    sys.exit(f"not all are open: { {socket.status for socket in sockets} }")
time.sleep(3)
after = held(pid)
for n, socket in enumerate(sockets):
    socket.send(b"%d" % n)
good = sum(socket.receive() == (1, b"%d" % n) for n, socket in enumerate(sockets))
print(f"{good} of {number} answer; the edge holds {(after - before) / int(number):.1f} KiB more for each")
sys.exit(good != int(number))
