#!/usr/bin/python3
"""What the egress proxy costs, as root on a booted host: processor time of the proxy alone. The world is a namespace behind a veth, with nginx as the server of all. A tenant's programs are led to
the proxy inside their namespace; HAProxy listens in it, too (`namespace`); nginx, which cannot, has a namespace of its own with a veth, and a load of its own in it."""
import json, os, pathlib, re, select, socket, statistics, struct, subprocess, sys, threading, time

from measure import Failed, bench, eventually, progress, promises, run

TENANT, NEIGHBOUR, WORLD, PEER = "alpha", "beta", "t-world", "t-nginx"
PLAIN, KEPT, LOOKED, NAMED = "pass.example.com", "kept.example.com", "rest.example.com", "named.example.com"
BARE, ALIKE = 4431, 4432
HOST, SERVER = "93.184.216.1", "93.184.216.34"
FILE_MIB, CLIENTS = 256, 32
WORK = pathlib.Path("/run/bench-egress")
UID = json.loads(pathlib.Path(f"/var/lib/tenantd/compiled/{TENANT}/confinement.json").read_text())["uid"]
POLICY = f"""version: 1
network_policies:
  plain: {{ endpoints: [ {{ host: {PLAIN}, port: 443 }} ] }}
  kept: {{ endpoints: [ {{ host: {KEPT}, port: 443 }} ] }}
  looked: {{ endpoints: [ {{ host: {LOOKED}, port: 443, protocol: rest, access: full }} ] }}
  named:
    endpoints: [ {{ host: {NAMED}, port: 443 }} ]
    binaries: [ {{ path: /usr/bin/python3* }} ]
"""


def tick(pids):
    total = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / 100


def proxy(tenant=TENANT):
    pid = int(run("systemctl", "show", "-P", "MainPID", f"tenant-egress@{tenant}.service"))
    return [pid] if pid else []


def below(pid):
    return [pid, *map(int, pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


def link(space, host, inside):
    """A namespace behind a veth: the host's address and its own."""
    run("ip", "netns", "add", space)
    run("ip", "link", "add", f"v-{space}", "type", "veth", "peer", "name", "eth0", "netns", space)
    run("ip", "address", "add", f"{host}/24", "dev", f"v-{space}")
    run("ip", "link", "set", f"v-{space}", "up")
    for words in (("address", "add", f"{inside}/24", "dev", "eth0"), ("link", "set", "eth0", "up"), ("link", "set", "lo", "up"), ("route", "add", "default", "via", host)):
        run("ip", "-n", space, *words)


def certificates():
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=bench", "-keyout", f"{WORK}/ca.key", "-out", f"{WORK}/ca.crt")
    names = ",".join(f"DNS:{name}" for name in (PLAIN, KEPT, LOOKED, NAMED))
    run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=server", "-keyout", f"{WORK}/key.pem", "-out", f"{WORK}/csr")
    (WORK / "ext").write_text(f"subjectAltName={names}\n")
    run("openssl", "x509", "-req", "-in", f"{WORK}/csr", "-CA", f"{WORK}/ca.crt", "-CAkey", f"{WORK}/ca.key", "-CAcreateserial", "-days", "2", "-extfile", f"{WORK}/ext", "-out", f"{WORK}/cert.pem")
    run("cp", f"{WORK}/ca.crt", "/usr/local/share/ca-certificates/bench-egress.crt")
    run("update-ca-certificates")


def nginx(space, name, servers):
    conf = WORK / f"{name}.conf"
    conf.write_text(f"""user root; worker_processes 1; pid {WORK}/{name}.pid; error_log {WORK}/{name}.log; daemon off;
events {{ worker_connections 4000; }}
http {{ access_log off; keepalive_requests 100000000; sendfile on; tcp_nopush off; ssl_certificate {WORK}/cert.pem; ssl_certificate_key {WORK}/key.pem; ssl_protocols TLSv1.3; {servers} }}""")
    return subprocess.Popen(["ip", "netns", "exec", space, "nginx", "-c", str(conf)])


def name_server():
    """Every name is the server's; none has an IPv6 address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.bind((HOST, 53))
        while True:
            query, whence = link.recvfrom(512)
            end = query.index(b"\0", 12) + 5
            here = query[end - 4:end - 2] == b"\0\1"
            answer = b"\xc0\x0c" + struct.pack("!2HIH", 1, 1, 3600, 4) + socket.inet_aton(SERVER) if here else b""
            link.sendto(query[:2] + struct.pack("!5H", 0x8180, 1, int(here), 0, 0) + query[12:end] + answer, whence)


def resolve(name):
    """As a program inside would: so that the proxy knows the address."""
    query = struct.pack("!6H", 7, 0x100, 1, 0, 0, 0) + b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0" + struct.pack("!2H", 1, 1)
    code = f"import socket; s=socket.socket(2,2); s.settimeout(5); s.sendto({query!r},('127.0.0.1',53)); a=s.recv(512); assert a[3]&15==0 and a[7], a"
    as_tenant("python3", "-c", code)


def words_as_tenant(*command):
    return ["ip", "netns", "exec", f"t-{TENANT}", "setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", *command]


def as_tenant(*command):
    return run(*words_as_tenant(*command))


def fetch(command):
    """MiB a second of one download."""
    begun = time.monotonic()
    run(*command)
    return FILE_MIB / (time.monotonic() - begun)


def passing(ways, rounds):
    """For each way, in turn: MiB a second, and MiB a processor second of all downloads."""
    speeds, spent = [[] for _ in ways], [0 for _ in ways]
    for _ in range(rounds):
        for way, (pids, command) in enumerate(ways):
            before = tick(pids())
            speeds[way].append(fetch(command))
            spent[way] += tick(pids()) - before
    return speeds, [FILE_MIB * rounds / max(one, 0.01) for one in spent]


def requests(pids, space, target, seconds, *options):
    """Requests a processor second over HTTP/1.1, and requests a second."""
    command = ["h2load", "--h1", "-t", "1", "-c", str(CLIENTS), "-D", str(seconds), "--warm-up-time=1s", *options, target]
    before = tick(pids())
    report = run(*(words_as_tenant(*command) if space is None else ["ip", "netns", "exec", space, *command]))
    spent = tick(pids()) - before
    good = int(re.search(r"status codes: (\d+) 2xx", report).group(1))
    if not good:
        said = "".join((WORK / f"{name}.log").read_text()[-600:] for name in ("world", "peer"))
        raise Failed(f"no good answers:\n{report}\n{said}")
    return good * (seconds + 1) / seconds / spent, good / seconds


CONNECTS = """
import socket, ssl, sys, time
count, targets = int(sys.argv[1]), [target.split(",") for target in sys.argv[2:]]
context = ssl.create_default_context()
def connect(host, address, port):
    begun = time.perf_counter()
    with context.wrap_socket(socket.create_connection((address, int(port))), server_hostname=host) as link:
        link.sendall(f"GET /small HTTP/1.1\\r\\nHost: {host}\\r\\nConnection: close\\r\\n\\r\\n".encode())
        while link.recv(65536): pass
    return (time.perf_counter() - begun) * 1e6
for _ in range(count):
    print(*(connect(*target) for target in targets))
"""


def connecting(count=1000):
    """Microseconds of connections with their TLS and one small answer, by a program of the cell: one through the proxy, one through each HAProxy, one through the proxy that asks which program it
    is; and so on, in turn."""
    targets = (PLAIN, SERVER, 443), (PLAIN, "127.0.0.1", BARE), (PLAIN, "127.0.0.1", ALIKE), (NAMED, SERVER, 443)
    said = run("tenantctl", "exec", TENANT, "--", "python3", "-c", CONNECTS, str(count), *(f"{host},{address},{port}" for host, address, port in targets))
    return [[float(word) for word in line.split()] for line in said.splitlines()]


DENIED = """
import socket, sys, time
for _ in range(int(sys.argv[1])):
    with socket.create_connection(("127.0.0.1", 3128)) as link:
        link.sendall(b"CONNECT denied.example.net:443 HTTP/1.1\\r\\nHost: denied.example.net:443\\r\\n\\r\\n")
        assert b" 403 " in link.recv(4096)
"""


def refusals(count=2000):
    """Microseconds of processor time of a refused CONNECT, its connection included."""
    before = tick(proxy())
    as_tenant("python3", "-c", DENIED, str(count))
    return (tick(proxy()) - before) / count * 1e6


HELD = """
import socket, ssl, sys, time
host, address, trusted = sys.argv[1:]
context = ssl.create_default_context(cafile=trusted)
with context.wrap_socket(socket.create_connection((address, 443)), server_hostname=host) as link:
    print("open", flush=True)
    try:
        while link.recv(65536): pass
    except OSError:
        pass
    print(time.time(), flush=True)
"""


def held(host):
    """A connection that is open; its program says when it ends."""
    program = subprocess.Popen(words_as_tenant("python3", "-c", HELD, host, SERVER, f"{WORK}/ca.crt"), stdout=subprocess.PIPE, text=True)
    if program.stdout.readline() != "open\n":
        raise Failed(f"no connection to {host}")
    return program


def reloads(count=10):
    """Milliseconds from the moment at which the policy is replaced by one without a host until the connection to it is cut."""
    file = pathlib.Path(f"/var/lib/tenantd/egress/{TENANT}/egress.json")
    text, was, took = file.read_text(), file.stat(), []

    def replace(by):
        new = file.with_name("egress.new")
        new.write_text(by)
        os.chown(new, was.st_uid, was.st_gid)
        new.chmod(was.st_mode & 0o777)
        new.rename(file)

    kept = held(KEPT)
    for _ in range(count):
        program = held(PLAIN)
        begun = time.time()
        replace(text.replace(PLAIN, "past.example.com"))
        if not select.select([program.stdout], [], [], 10)[0]:
            raise Failed("a connection that the policy no longer allows was not cut")
        took.append((float(program.stdout.readline()) - begun) * 1e3)
        program.wait()
        replace(text)
        time.sleep(0.2)
    if kept.poll() is not None:
        raise Failed("a connection that stays allowed was cut")
    kept.kill()
    kept.wait()
    return took


def memory():
    """KiB of memory: what is the proxy's alone while a neighbour's runs, too, and what it shares with it: the program, which is there once however many run."""
    code = "import socket; socket.create_connection(('127.0.0.1', 3128))"
    run("ip", "netns", "exec", f"t-{NEIGHBOUR}", "python3", "-c", code)
    eventually(10, "the neighbour's proxy runs", lambda: proxy(NEIGHBOUR))
    # Until it has touched its program as far as this one has.
    time.sleep(2)
    text = pathlib.Path(f"/proc/{proxy()[0]}/smaps_rollup").read_text()
    return [sum(int(value) for value in re.findall(rf"^{kind}_\w+:\s+(\d+) kB", text, re.M)) for kind in ("Private", "Shared")]


def haproxy_file(port, more=""):
    path = WORK / f"haproxy-{port}.cfg"
    path.write_text(f"""
global
  nbthread 1
  maxconn 4000
  log /dev/log local0
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
frontend f
  bind 127.0.0.1:{port} namespace t-{TENANT}
{more}
  default_backend b
backend b
  server s {SERVER}:443
""")
    return path


def haproxy():
    return subprocess.Popen(["haproxy", "-f", str(haproxy_file(BARE)), "-db"])


def haproxy_alike():
    """HAProxy that does and bears the same: it reads for whom a connection is and logs it, in the tenant's slice with the proxy's filter of packets and one of system calls."""
    file = haproxy_file(ALIKE, f"""  log global
  option tcplog
  option logasap
  tcp-request inspect-delay 10s
  tcp-request content reject if {{ req.ssl_hello_type 1 }} !{{ req.ssl_sni -i {PLAIN} }}
  tcp-request content accept if {{ req.ssl_hello_type 1 }}
  tcp-request content reject""")
    unit = pathlib.Path("/usr/lib/systemd/system/tenant-egress@.service").read_text()
    taken = [line for line in unit.splitlines() if line.startswith(("IPAddress", "TasksMax=", "NoNewPrivileges="))]
    taken.append("SystemCallFilter=~@mount @reboot @swap")
    run("systemd-run", "-q", "--unit=haproxy-alike", f"--slice=tenants-{TENANT}.slice", *(word for line in taken for word in ("-p", line)), "haproxy", "-f", str(file), "-db")
    return lambda: [int(run("systemctl", "show", "-P", "MainPID", "haproxy-alike.service"))]


def prepare():
    WORK.mkdir(exist_ok=True)
    link(WORLD, HOST, SERVER)
    link(PEER, "93.184.217.1", "93.184.217.2")
    pathlib.Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    certificates()
    (WORK / "www").mkdir(exist_ok=True)
    (WORK / "www/small").write_text("hello, world!")
    with open(WORK / "www/large", "wb") as large:
        large.truncate(FILE_MIB << 20)
    threading.Thread(target=name_server, daemon=True).start()
    pathlib.Path("/etc/resolv.conf").unlink(missing_ok=True)
    pathlib.Path("/etc/resolv.conf").write_text(f"nameserver {HOST}\n")
    for tenant in (TENANT, NEIGHBOUR):
        spec = pathlib.Path(f"/etc/tenantd/tenants.d/{tenant}.toml")
        spec.write_text(spec.read_text() + f"\n[egress]\nprofile = \"customers\"\npolicy = '''\n{POLICY}'''\n")
        run("tenantctl", "apply", "-f", str(spec))


def measured(seconds):
    children = [nginx(WORLD, "world", f"server {{ listen {SERVER}:443 ssl; root {WORK}/www; }}"),
                nginx(PEER, "peer", f"upstream u {{ server {SERVER}:443; keepalive 64; }} server {{ listen 127.0.0.1:443 ssl; location / {{ proxy_pass https://u; proxy_http_version 1.1; proxy_set_header Connection ''; "
                      f"proxy_set_header Host {LOOKED}; proxy_ssl_protocols TLSv1.3; proxy_ssl_server_name on; proxy_ssl_name {LOOKED}; proxy_ssl_verify on; proxy_ssl_trusted_certificate {WORK}/ca.crt; }} }}"), haproxy()]
    alike = haproxy_alike()
    try:
        time.sleep(1)
        for name in (PLAIN, LOOKED):
            resolve(name)
            said = run("tenantctl", "exec", TENANT, "--", "curl", "-sS", "--noproxy", "*", f"https://{name}/small")
            if said != "hello, world!":
                raise Failed(f"{name}: {said}")
        resolve(NAMED)
        resolve(KEPT)
        curl = ["curl", "-sS", "--fail", "-o", "/dev/null", "--cacert", f"{WORK}/ca.crt"]
        own = words_as_tenant(*curl, "--resolve", f"{PLAIN}:443:{SERVER}", f"https://{PLAIN}/large")
        bare, confined = (words_as_tenant(*curl, "--connect-to", f"{PLAIN}:443:127.0.0.1:{port}", f"https://{PLAIN}/large") for port in (BARE, ALIKE))
        progress("bytes that pass")
        passed = passing([(proxy, own), (lambda: [children[2].pid], bare), (alike, confined)], max(3 * seconds, 9))
        progress("connections")
        waits = connecting()
        crowd = [subprocess.Popen(["sleep", "infinity"]) for _ in range(1000)]
        crowded = connecting(300)
        for one in crowd:
            one.kill()
            one.wait()
        progress("requests that are looked at")
        looked = [(requests(proxy, None, f"https://{LOOKED}/small", seconds, f"--connect-to={SERVER}:443"),
                   requests(lambda: below(children[1].pid), PEER, f"https://{LOOKED}/small", seconds, "--connect-to=127.0.0.1:443")) for _ in range(3)]
        progress("refusals")
        refused = [refusals() for _ in range(3)]
        progress("changes of the policy")
        return passed, waits, crowded, looked, refused, reloads(), memory()
    finally:
        for child in children:
            child.terminate()
        run("systemctl", "stop", "haproxy-alike.service")


def main(seconds):
    prepare()
    passed, waits, crowded, looked, refused, changed, memory = measured(seconds)
    middle = statistics.median
    speeds, costs = passed
    (speed, cost), (speed_alike, cost_alike) = ((middle(own / peer for own, peer in zip(speeds[0], speeds[way])), costs[0] / costs[way]) for way in (1, 2))
    added, beside, identified = (middle(one[a] - one[b] for one in waits) for a, b in ((0, 1), (0, 2), (3, 0)))
    in_crowd = middle(one[3] - one[0] for one in crowded)
    own, peer, same, named = (middle(way) for way in zip(*waits))
    terminated = middle(own[0] / peer[0] for own, peer in looked)
    print("\nHAProxy *alike* reads for whom a connection is and logs it, in the tenant's slice with filters of packets and system calls.")
    print("\n| | tenant-egress | peer |\n|---|---|---|")
    print(f"| MiB a second through (a processor second), TLS passed | {middle(speeds[0]):,.0f} ({costs[0]:,.0f}) | {middle(speeds[1]):,.0f} ({costs[1]:,.0f}) HAProxy; {middle(speeds[2]):,.0f} ({costs[2]:,.0f}) alike |")
    print(f"| connection with TLS and an answer, median µs | {own:,.0f}; with the question which program it is {named:,.0f} | {peer:,.0f} HAProxy; {same:,.0f} alike |")
    print(f"| requests a processor second (a second), TLS ended on both sides | {middle(own[0] for own, _ in looked):,.0f} ({middle(own[1] for own, _ in looked):,.0f}) | {middle(peer[0] for _, peer in looked):,.0f} ({middle(peer[1] for _, peer in looked):,.0f}) nginx |")
    promises("egress", [
        ("Bytes that pass, a second: at least 0.9 times HAProxy's in TCP mode", 0.9, speed, f"{speed:.2f} times, {speed_alike:.2f} times one alike; a processor second {cost:.2f} and {cost_alike:.2f} times"),
        ("A connection waits at most 100 µs longer than through HAProxy", added, 100, f"{added:.0f} µs; {beside:.0f} µs than through one alike"),
        ("Requests that are looked at, a processor second: at least 0.8 times nginx ending TLS on both sides", 0.8, terminated, f"{terminated:.2f} times"),
        ("A refused CONNECT: at most 100 µs of processor time", middle(refused), 100, f"{middle(refused):.0f} µs, connection included"),
        ("Which program opened a connection: at most 100 µs", identified, 100, f"{identified:.0f} µs; {in_crowd:.0f} µs with 1,000 more processes on the host"),
        ("A change of the policy cuts what it forbids, and nothing else, within 50 ms", middle(changed), 50, f"{middle(changed):.0f} ms, at most {max(changed):.0f} of {len(changed)}"),
        ("Memory of an active proxy that is its own: at most 6 MiB", memory[0] / 1024, 6, f"{memory[0] / 1024:.1f} MiB, and {memory[1] / 1024:.1f} MiB of programs that it shares with others, as a neighbour's proxy ran, too"),
    ])


bench(lambda: main(int(sys.argv[1])))
