#!/usr/bin/python3
"""Times tenant-net on a booted host, as root: the first and the last of COUNT networks, their end, and packets past the fence with one
tenant and with a thousand more. Compares with the `ip` commands that would do the same."""
import json, os, pathlib, shutil, signal, socket, statistics, subprocess, sys, tempfile, time

from measure import Failed, bench, brief, progress, promises, run, table, timed

NET = "/usr/lib/tenantd/tenant-net"
COMPILED = pathlib.Path("/var/lib/tenantd/compiled")
FIRST = 60000
# More tenants, for the fence alone: elements without links.
MORE = range(1000, 2000)
SENDER = """import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect((sys.argv[1], int(sys.argv[2])))
for _ in range(2):
    begun = time.monotonic()
    for _ in range(100_000): s.send(b"x")
    took = time.monotonic() - begun
print(took / 100_000 * 1e9)"""


def address(n, host):
    return f"10.{200 + (n >> 14 & 3)}.{n >> 6 & 255}.{(n & 63) * 4 + host}"


def network(n):
    mac = lambda end: [2, 116, 100, end, n >> 8 & 255, n & 255]
    return {"format": 1, "tenant": f"bench{n}", "services": [], "gateway_port": 18789,
            "link": {"bridge": f"tb{n}", "host": f"tv{n}", "bridge_address": address(n, 1),
                     "tenant_address": address(n, 2), "bridge_mac": mac(1), "tenant_mac": mac(2)}}


def up(n, told):
    """Puts a network up; returns the process that holds it and the milliseconds until it says so."""
    begun = time.monotonic()
    holder = subprocess.Popen([NET, "up", f"bench{n}"], env={"NOTIFY_SOCKET": told.getsockname()}, stderr=subprocess.PIPE)
    try:
        told.recv(100)
    except TimeoutError:
        holder.kill()
        raise Failed(f"tenant-net up: {holder.stderr.read().decode()}") from None
    return holder, (time.monotonic() - begun) * 1e3


def down(n, holder):
    """Ends the holder and takes the network down, as PID 1 does; returns the milliseconds."""
    begun = time.monotonic()
    holder.send_signal(signal.SIGTERM)
    holder.wait()
    timed(NET, "down", f"bench{n}")
    return (time.monotonic() - begun) * 1e3


def by_hand(n):
    """The same links with iproute2, one process each; returns the milliseconds."""
    bridge, port, space = f"xb{n}", f"xv{n}", f"bench-{n}"
    steps = (f"netns add {space}", f"link add {bridge} type bridge", f"link add {port} type veth peer name eth0 netns {space}",
             f"link set {port} master {bridge} up", f"address add {address(n, 1)}/30 dev {bridge}", f"link set {bridge} up",
             f"-n {space} address add {address(n, 2)}/30 dev eth0", f"-n {space} link set eth0 up")
    return sum(timed("/usr/sbin/ip", *words.split()) for words in steps)


def packets(n):
    """Nanoseconds per datagram from inside a tenant's namespace to an allowed port of its bridge: the whole way is in the sender's call."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind((address(n, 1), 0))
        sink.settimeout(1)
        port = sink.getsockname()[1]
        element = f"element inet tenantd services {{ tb{n} . {address(n, 1)} . udp . {port} }}"
        run("nft", f"add {element}")
        took = float(run("ip", "netns", "exec", f"t-bench{n}", "python3", "-c", SENDER, address(n, 1), str(port)))
        run("nft", f"delete {element}")
        try:
            sink.recv(1)
        except TimeoutError:
            raise Failed("no datagram came through the fence: only their refusal was measured") from None
    return took


def elements(verb):
    lines = (f"{verb} element inet tenantd peers {{ tb{i} . {address(i, 2)} }}\n{verb} element inet tenantd bridges {{ tb{i} . {address(i, 1)} }}\n"
             f"{verb} element inet tenantd services {{ tb{i} . {address(i, 1)} . tcp . 80 }}\n" for i in MORE)
    run("nft", "-f", "-", text="".join(lines))


def fence(rounds):
    few, more = [], []
    for number in range(rounds):
        few.append(packets(FIRST))
        elements("add")
        more.append(packets(FIRST))
        elements("delete")
        progress(f"packets, round {number + 1} of {rounds}")
    return few, more


def measure(tenants):
    count = len(tenants)
    nothing = [timed("/bin/true") for _ in range(50)]
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(os.path.join(directory, "notify"))
        told.settimeout(30)
        holders, ups = zip(*(up(n, told) for n in tenants))
    progress(f"{count} networks are up")
    few, more = fence(10)
    downs = [down(n, holder) for n, holder in zip(tenants, holders)]
    progress("they are down; sweeping")
    sweep = timed(NET, "sweep")
    left = [name for name in run("ip", "-br", "link").split() if name.startswith(("tb60", "tv60"))]
    if left:
        raise Failed(f"the sweep left links: {left[:5]}")
    hand = [by_hand(n) for n in tenants[:20]]
    edge = min(20, count)
    table("network of a tenant", {"a process that does nothing (/bin/true)": nothing, f"tenant-net up, first {edge}": ups[:edge],
                                  f"tenant-net up, last {edge} of {count}": ups[-edge:], f"tenant-net down, {count}": downs,
                                  f"tenant-net sweep, share of each of {count}": [sweep / count],
                                  "the same links with ip, eight processes": hand}, digits=2)
    table("a datagram past the fence", {"no other tenant's elements": few, f"with those of {len(MORE)} more": more}, "ns", 0)
    each = (sum(downs) + sweep) / count
    ratio = statistics.median(more) / statistics.median(few)
    promises("network", [
        ("one tenant's network is up in at most 3 ms", statistics.median(ups), 3,
         f"{brief(ups, digits=2)}, of which a process that does nothing {statistics.median(nothing):.2f}; with `ip` {statistics.median(hand):.1f} ms"),
        ("deleting 200 networks costs at most 10 ms each", each, 10, f"{each:.1f} ms each of {count} (down {statistics.median(downs):.2f}, sweep {sweep / count:.2f})"),
        ("a packet through the fence costs at most 1.1 × as much with 1,000 tenants as with one", ratio, 1.1,
         f"{ratio:.2f} × (least {min(more) / min(few):.2f}): {brief(few, 'ns', 0)} against {brief(more, 'ns', 0)}")])


def main():
    tenants = range(FIRST, FIRST + int(sys.argv[1]))
    run("systemctl", "stop", "tenantd-sweep.path")  # what it does by itself is done here in one go, and timed
    for n in tenants:
        (COMPILED / f"bench{n}").mkdir(parents=True, exist_ok=True)
        (COMPILED / f"bench{n}" / "network.json").write_text(json.dumps(network(n)))
    try:
        measure(tenants)
    finally:
        for n in tenants:
            subprocess.run([NET, "down", f"bench{n}"], capture_output=True)
            shutil.rmtree(COMPILED / f"bench{n}", ignore_errors=True)
        for n in tenants[:20]:
            subprocess.run(["ip", "netns", "del", f"bench-{n}"], capture_output=True)
            subprocess.run(["ip", "link", "del", f"xb{n}"], capture_output=True)
        subprocess.run([NET, "sweep"], capture_output=True)
        run("systemctl", "start", "tenantd-sweep.path")


bench(main)
