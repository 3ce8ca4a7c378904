#!/usr/bin/python3
"""Times tenant-net on a booted host, as root: the first and the last of 200 networks, their end, and packets past the fence
with one tenant and with a thousand. Compares with the `ip` commands that would do the same."""
import json, os, pathlib, shutil, socket, statistics, subprocess, time

NET = "/usr/lib/tenantd/tenant-net"
COMPILED = pathlib.Path("/var/lib/tenantd/compiled")
FIRST, COUNT = 60000, 200


def address(n, host):
    return f"10.{200 + (n >> 14 & 3)}.{n >> 6 & 255}.{(n & 63) * 4 + host}"


def network(n):
    mac = lambda end: [2, 116, 100, end, n >> 8 & 255, n & 255]
    return {"format": 1, "tenant": f"bench{n}", "services": [], "gateway_port": 18789,
            "link": {"bridge": f"tb{n}", "host": f"tv{n}", "bridge_address": address(n, 1),
                     "tenant_address": address(n, 2), "bridge_mac": mac(1), "tenant_mac": mac(2)}}


def timed(*command):
    begun = time.monotonic()
    os.waitpid(os.posix_spawn(command[0], command, os.environ), 0)
    return (time.monotonic() - begun) * 1e3


def row(what, times, note=""):
    print(f"{what:52} {statistics.median(times):8.2f} ms   (least {min(times):.2f}, n {len(times)}) {note}")


def by_hand(n):
    """The same links with iproute2, one process each."""
    bridge, port, space = f"xb{n}", f"xv{n}", f"bench-{n}"
    for words in (f"netns add {space}", f"link add {bridge} type bridge", f"link add {port} type veth peer name eth0 netns {space}",
                  f"link set {port} master {bridge} up", f"address add {address(n, 1)}/30 dev {bridge}", f"link set {bridge} up",
                  f"-n {space} address add {address(n, 2)}/30 dev eth0", f"-n {space} link set eth0 up"):
        os.waitpid(os.posix_spawn("/usr/sbin/ip", ["ip", *words.split()], os.environ), 0)


def packets(n, count=100_000):
    """Seconds per datagram from inside a tenant's namespace to an allowed port of its bridge: the whole way is in the sender's call."""
    sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink.bind((address(n, 1), 0))
    port = sink.getsockname()[1]
    subprocess.run(["nft", f"add element inet tenantd services {{ tb{n} . {address(n, 1)} . udp . {port} }}"], check=True)
    program = ("import socket,sys,time;s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);s.connect((sys.argv[1],int(sys.argv[2])))\n"
               f"for r in range(2):\n b=time.monotonic()\n for _ in range({count}): s.send(b'x')\n e=time.monotonic()\nprint((e-b)/{count}*1e9)")
    out = subprocess.run(["ip", "netns", "exec", f"t-bench{n}", "python3", "-c", program, address(n, 1), str(port)],
                         check=True, capture_output=True, text=True).stdout
    subprocess.run(["nft", f"delete element inet tenantd services {{ tb{n} . {address(n, 1)} . udp . {port} }}"], check=True)
    return float(out)


def main():
    tenants = range(FIRST, FIRST + COUNT)
    for n in tenants:
        (COMPILED / f"bench{n}").mkdir(parents=True, exist_ok=True)
        (COMPILED / f"bench{n}" / "network.json").write_text(json.dumps(network(n)))
    try:
        row("a process that does nothing (/bin/true)", [timed("/bin/true") for _ in range(50)])
        up = [timed(NET, "up", f"bench{n}") for n in tenants]
        row("tenant-net up, first 20", up[:20])
        row(f"tenant-net up, last 20 of {COUNT}", up[-20:])
        few = [packets(FIRST) for _ in range(5)]
        many = "".join(f"add element inet tenantd peers {{ tb{i} . {address(i, 2)} }}\nadd element inet tenantd bridges {{ tb{i} . {address(i, 1)} }}\n"
                       f"add element inet tenantd services {{ tb{i} . {address(i, 1)} . tcp . 80 }}\n" for i in range(1000, 2000))
        subprocess.run(["nft", "-f", "-"], input=many, text=True, check=True)
        more = [packets(FIRST) for _ in range(5)]
        subprocess.run(["nft", "-f", "-"], input=many.replace("add element", "delete element"), text=True, check=True)
        print(f"{'a datagram past the fence, one tenant more or less':52} {min(few):8.0f} ns; with 1,000 more: {min(more):.0f} ns "
              f"(ratio {min(more) / min(few):.2f})")
        row(f"tenant-net down, {COUNT}", [timed(NET, "down", f"bench{n}") for n in tenants])
        print(f"{f'tenant-net sweep, {COUNT} at once':52} {timed(NET, 'sweep') / COUNT:8.2f} ms each")
        hand = []
        for n in range(FIRST, FIRST + 20):
            begun = time.monotonic()
            by_hand(n)
            hand.append((time.monotonic() - begun) * 1e3)
        row("the same links with ip, eight processes", hand)
    finally:
        for n in tenants:
            timed(NET, "down", f"bench{n}")
            shutil.rmtree(COMPILED / f"bench{n}", ignore_errors=True)
        for n in range(FIRST, FIRST + 20):
            subprocess.run(["ip", "netns", "del", f"bench-{n}"], stderr=subprocess.DEVNULL)
            subprocess.run(["ip", "link", "del", f"xb{n}"], stderr=subprocess.DEVNULL)
        timed(NET, "sweep")


main()
