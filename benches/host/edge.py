#!/usr/bin/python3
"""What the edge costs, as root on a booted host: processor time of the proxy alone, whoever else works. All speak TLS 1.3 with one certificate to the same load
and relay to the same gateway. HAProxy verifies an ES256 token in every request (it knows no Ed25519), nginx asks a location of its own that says yes. The edge writes a line of its access log for each request; so do HAProxy and one of the two nginx."""
import asyncio, base64, json, os, pathlib, resource, ssl, statistics, struct, subprocess, sys, tempfile, time

from measure import PORT, Failed, bench, eventually, progress, promises, run, tenant_address

TENANT, DOMAIN = "alpha", "agents.test"
NAME = f"{TENANT}.{DOMAIN}"
FILES = pathlib.Path("/var/lib/tenantd/edge")
CERTIFICATE = FILES / "tls/cert.pem"
CLIENTS = 64
TICK = os.sysconf("SC_CLK_TCK")
WORK = pathlib.Path(tempfile.mkdtemp(dir="/run"))
LIMITS = ("requests_per_ip", "requests_per_subject", "requests_per_tenant", "connections_per_ip", "connections_per_tenant", "sockets_per_subject", "failures_per_ip")
# A gateway for many WebSockets: answers GET, and echoes frames without looking into them.
GATEWAY = '''
import asyncio, base64, hashlib, os, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
class Link(asyncio.Protocol):
    def connection_made(self, link): self.link, self.open, self.head = link, False, b""
    def data_received(self, data):
        if self.open:
            head = bytearray(data)
            n = head[1] & 127
            skip = 2 + (2 if n == 126 else 0)
            mask, body = data[skip:skip + 4], data[skip + 4:]
            head[1] &= 127
            self.link.write(bytes(head[:skip]) + (body if mask == bytes(4) else bytes(b ^ mask[i & 3] for i, b in enumerate(body))))
            return
        self.head += data
        while b"\\r\\n\\r\\n" in self.head and not self.open:
            head, self.head = self.head.split(b"\\r\\n\\r\\n", 1)
            keys = [l.split(b":", 1)[1].strip() for l in head.split(b"\\r\\n") if l.lower().startswith(b"sec-websocket-key:")]
            if keys:
                accept = base64.b64encode(hashlib.sha1(keys[0] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
                self.link.write(b"HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: " + accept + b"\\r\\n\\r\\n")
                self.open = True
            else:
                self.link.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 13\\r\\n\\r\\nhello, world!")
async def main():
    server = await asyncio.get_running_loop().create_server(Link, "0.0.0.0", int(os.environ["PORT"]), backlog=4096)
    await server.serve_forever()
asyncio.run(main())
'''


def processor(pids):
    """Seconds of processor time of these processes until now."""
    total = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


class Peer:
    """A proxy that runs: its port, and its processes."""

    def __init__(self, name, port, headers, pids):
        self.name, self.port, self.headers, self.pids = name, port, headers, pids

    def load(self, seconds, *options):
        """h2load over HTTP/1.1; returns its report."""
        words = [f"--header={header}" for header in self.headers]
        return run("h2load", "--h1", "-t", "1", "-c", str(CLIENTS), "-D", str(seconds), "--warm-up-time=1s", f"--connect-to=127.0.0.1:{self.port}",
                   *words, *options, f"https://{NAME}:{self.port}/")

    def capacity(self, seconds):
        """Requests a processor second of the proxy, and requests a second of the whole."""
        before = processor(self.pids())
        report = self.load(seconds)
        spent = processor(self.pids()) - before
        done = next(line for line in report.splitlines() if line.startswith("requests:")).split()
        good = int(next(line for line in report.splitlines() if line.startswith("status codes:")).split()[2])
        if good < int(done[1]) * 0.99 or good == 0:
            raise Failed(f"{self.name}: not all answers are good:\n{report}")
        # The second of warming up is in the processor time and not in the count.
        return good * (seconds + 1) / seconds / spent, good / seconds

    def tail(self, seconds, rate):
        """The 99th percentile in milliseconds at so many requests a second."""
        log = WORK / "log"
        log.unlink(missing_ok=True)
        self.load(seconds, f"--rps={rate / CLIENTS:.3f}", f"--log-file={log}")
        took = sorted(int(line.split("\t")[2]) for line in log.read_text().splitlines() if line.count("\t") == 2)
        if not took:
            raise Failed(f"{self.name}: no times")
        return took[len(took) * 99 // 100] / 1e3


def edge_pids():
    return [int(run("systemctl", "show", "-P", "MainPID", "tenantd-edge.service"))]


def below(pid):
    return [pid, *map(int, pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


def tls():
    made = ssl.create_default_context(cafile=str(CERTIFICATE))
    made.check_hostname = False
    return made


def settings(**limits):
    given = {**dict.fromkeys(LIMITS, 1_000_000), "connections": 60_000, **limits}
    text = f'domain = "{DOMAIN}"\n[limits]\n' + "".join(f"{name} = {value}\n" for name, value in given.items())
    pathlib.Path("/etc/tenantd/edge.toml").write_text(text)
    run("tenantctl", "edge", "reload")
    time.sleep(1)


def token():
    return json.loads(run("tenantctl", "token", "issue", TENANT, "--role", "owner", "--json"))["token"]


def edge():
    run("tenantctl", "edge", "enable", "--domain", DOMAIN)
    settings()
    return Peer("tenant-edge, Ed25519, cached", 443, [f"authorization: Bearer {token()}"], edge_pids)


def nginx(backend, port, log):
    """With auth_request to a location of its own."""
    conf = WORK / f"nginx.{port}.conf"
    conf.write_text(f"""
user root; worker_processes 2; pid {WORK}/nginx.{port}.pid; error_log {WORK}/nginx.log; daemon off;
events {{ worker_connections 4000; }}
http {{ access_log {log}; keepalive_requests 100000000;
  map $http_upgrade $upgrade {{ default upgrade; '' ''; }}
  upstream gateway {{ server {backend}; keepalive 128; }}
  server {{ listen {port} ssl; ssl_certificate {CERTIFICATE}; ssl_certificate_key {FILES}/tls/key.pem; ssl_protocols TLSv1.3;
    location = /auth {{ internal; return 204; }}
    location / {{ auth_request /auth; proxy_pass http://gateway; proxy_http_version 1.1; proxy_set_header Host $host;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $upgrade; proxy_read_timeout 1h; }} }} }}""")
    child = subprocess.Popen(["nginx", "-c", str(conf)])
    name = "nginx, auth_request" + ("" if log == "off" else ", access log")
    return Peer(name, port, [], lambda: below(child.pid)), child


def haproxy(backend):
    """Verifies a JWT, ES256, in each request."""
    key, public = WORK / "es256.pem", WORK / "es256.pub"
    run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(key))
    run("openssl", "ec", "-in", str(key), "-pubout", "-out", str(public))
    (WORK / "both.pem").write_bytes(CERTIFICATE.read_bytes() + (FILES / "tls/key.pem").read_bytes())
    (WORK / "haproxy.cfg").write_text(f"""
global
  nbthread 2
  maxconn 4000
  log /dev/log local0
defaults
  mode http
  log global
  option httplog
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
frontend f
  bind :4432 ssl crt {WORK}/both.pem ssl-min-ver TLSv1.3
  http-request deny unless {{ http_auth_bearer,jwt_verify(ES256,"{public}") eq 1 }}
  default_backend g
backend g
  server gateway {backend}
""")
    child = subprocess.Popen(["haproxy", "-f", str(WORK / "haproxy.cfg"), "-db"])
    return Peer("HAProxy, JWT ES256", 4432, [f"authorization: Bearer {es256(key)}"], lambda: [child.pid]), child


def plain(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def es256(key):
    body = ".".join(plain(json.dumps(part).encode()) for part in ({"alg": "ES256", "typ": "JWT"}, {"sub": "ann", "exp": int(time.time()) + 3600}))
    (WORK / "text").write_text(body)
    der = subprocess.check_output(["openssl", "dgst", "-sha256", "-sign", str(key), str(WORK / "text")])
    # DER, SEQUENCE of two INTEGERs, to 64 bytes (RFC 7518, 3.4).
    first = der[4:4 + der[3]]
    second = der[6 + der[3]:]
    return f"{body}.{plain(b''.join(part.lstrip(bytes(1)).rjust(32, bytes(1)) for part in (first, second)))}"


async def opened(peer, context):
    reader, writer = await asyncio.open_connection("127.0.0.1", peer.port, ssl=context, server_hostname=NAME, limit=4096)
    key = base64.b64encode(os.urandom(16)).decode()
    lines = ["GET / HTTP/1.1", f"Host: {NAME}", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", *peer.headers]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 101 " not in head:
        raise Failed(f"{peer.name}: no WebSocket: {head.decode()}")
    return reader, writer


async def messages(peer, seconds):
    """Microseconds of the proxy's processor time a message of 128 bytes, there and back counted as two."""
    context, count = tls(), 0
    links = [await opened(peer, context) for _ in range(CLIENTS)]
    frame = struct.pack(">BBH", 0x82, 0xFE, 128) + bytes(4) + bytes(128)

    async def talk(reader, writer):
        nonlocal count
        while time.monotonic() < until:
            writer.write(frame)
            await reader.readexactly(132)
            count += 2

    before, until = processor(peer.pids()), time.monotonic() + seconds
    await asyncio.gather(*(talk(*link) for link in links))
    spent = processor(peer.pids()) - before
    for _, writer in links:
        writer.close()
    return spent / count * 1e6


def held(pid):
    """MiB that a process holds by itself."""
    return int(next(line for line in open(f"/proc/{pid}/smaps_rollup") if line.startswith("Pss:")).split()[1]) / 1024


async def idle(peer, number):
    """MiB that the proxy holds more with so many WebSockets, and what all of it holds."""
    [pid] = peer.pids()
    before, context, links = held(pid), tls(), []
    for begun in range(0, number, 50):
        links += await asyncio.gather(*(opened(peer, context) for _ in range(min(50, number - begun))))
        if begun % 2000 == 0:
            progress(f"{begun} WebSockets")
    await asyncio.sleep(5)
    after = held(pid)
    reader, writer = links[-1]
    writer.write(struct.pack(">BB", 0x82, 0x84) + bytes(4) + b"live")
    if await reader.readexactly(6) != b"\x82\x04live":
        raise Failed("an idle WebSocket is dead")
    for _, writer in links:
        writer.transport.abort()
    return after - before, after


def cold(peer, number=1500):
    """Microseconds of processor time more for a token that was never seen: as many new tokens as requests on one connection, against one token as often."""
    key = WORK / "own.pem"
    run("openssl", "genpkey", "-algorithm", "ed25519", "-out", str(key))
    raw = subprocess.check_output(["openssl", "pkey", "-in", str(key), "-pubout", "-outform", "DER"])[-32:]
    file = FILES / "keys.json"
    keys = json.loads(file.read_text())
    keys["keys"].append({"kid": "bench", "x": plain(raw), "retired": None})
    status = file.stat()
    new = file.with_name("keys.json.new")
    new.write_text(json.dumps(keys))
    os.chown(new, status.st_uid, status.st_gid)
    os.chmod(new, status.st_mode & 0o777)
    os.rename(new, file)
    time.sleep(1)
    progress(f"signing {number} tokens")
    made = [own(key, n) for n in range(number)]
    spent = {}
    for what, tokens in (("cold", made), ("cached", [made[0]] * number)):
        link = tls().wrap_socket(__import__("socket").create_connection(("127.0.0.1", peer.port)), server_hostname=NAME)
        before = processor(peer.pids())
        for one in tokens:
            link.sendall(f"GET / HTTP/1.1\r\nHost: {NAME}\r\nAuthorization: Bearer {one}\r\n\r\n".encode())
            if not (answer := link.recv(4096)).startswith(b"HTTP/1.1 200"):
                raise Failed(f"a token is refused: {answer[:200]}")
        spent[what] = (processor(peer.pids()) - before) / number * 1e6
        link.close()
    return spent["cold"] - spent["cached"], spent["cached"]


def own(key, number):
    now = int(time.time())
    claims = {"iss": f"https://{DOMAIN}", "aud": f"https://{NAME}", "sub": "ann", "role": "owner", "jti": f"{number:032x}", "iat": now, "nbf": now, "exp": now + 3600}
    body = ".".join(plain(json.dumps(part).encode()) for part in ({"alg": "EdDSA", "typ": "at+jwt", "kid": "bench"}, claims))
    (WORK / "text").write_text(body)
    return f"{body}.{plain(subprocess.check_output(['openssl', 'pkeyutl', '-sign', '-inkey', str(key), '-rawin', '-in', str(WORK / 'text')]))}"


def gateway():
    """The tenant's own, in the place of the stand-in."""
    program = pathlib.Path("/usr/local/lib/standin/many.py")
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(GATEWAY)
    run("tenantctl", "delete", TENANT, "--destroy", "--yes")
    run("tenantctl", "create", TENANT, "--runtime", "generic", "--port", str(PORT), "--command", f"/usr/bin/python3 {program}")
    return f"{tenant_address(TENANT)}:{PORT}"


def main():
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # The edge holds two descriptors for each; where nobody may raise the limit, it is that of the outer machine.
    seconds, sockets = int(sys.argv[1]), min(int(sys.argv[2]), (most - 200) // 2)
    # Debian starts them at boot, and one of them where the edge listens.
    subprocess.run(["systemctl", "stop", "nginx", "haproxy"], capture_output=True)
    backend = gateway()
    first = edge()
    others = [nginx(backend, 4431, "off"), nginx(backend, 4433, "syslog:server=unix:/dev/log"), haproxy(backend)]
    peers = [first, *(peer for peer, _ in others)]
    try:
        for peer in peers:
            eventually(10, peer.name, lambda peer=peer: subprocess.run(["curl", "-sk", "-o", "/dev/null", f"https://127.0.0.1:{peer.port}/"]).returncode == 0)
        capacity = {peer.name: [] for peer in peers}
        whole = dict.fromkeys(capacity, 0)
        for _ in range(3):
            for peer in peers:
                progress(f"{peer.name}: requests")
                each, rate = peer.capacity(seconds)
                capacity[peer.name].append(each)
                whole[peer.name] = max(whole[peer.name], rate)
        # Half of what the slowest of them can.
        rate = min(whole.values()) / 2
        tails = {peer.name: peer.tail(seconds, rate) for peer in peers}
        sockets_cost = {peer.name: asyncio.run(messages(peer, seconds)) for peer in peers}
        more, check = cold(first)
        verify = 1e6 / float(run("openssl", "speed", "-mr", "-seconds", "1", "ed25519").strip().splitlines()[-1].split(":")[-1])
        run("systemctl", "restart", "tenantd-edge.service")
        subprocess.run(["curl", "-sk", "-o", "/dev/null", "https://127.0.0.1/"])
        extra, all_of_it = asyncio.run(idle(first, sockets))
    finally:
        for _, child in others:
            child.terminate()
    middle = {name: statistics.median(values) for name, values in capacity.items()}
    print(f"\nTLS 1.3, keep-alive, {CLIENTS} connections, 13-byte answers; half load is {rate:.0f} requests a second.\n")
    print("| proxy | requests a processor second | p99 at half load | WebSocket, processor time a message |\n|---|---|---|---|")
    for name in middle:
        print(f"| {name} | {middle[name]:.0f} | {tails[name]:.2f} ms | {sockets_cost[name]:.1f} µs |")
    own_rate, bare, logging, ha = middle.values()
    print(f"\nRatio to nginx {own_rate / bare:.2f}, to nginx with an access log {own_rate / logging:.2f}, to HAProxy {own_rate / ha:.2f}. "
          f"A request with a cached token costs the edge {check:.0f} µs on one connection, one with a new token {more:.0f} µs more; openssl verifies an Ed25519 signature in {verify:.0f} µs.")
    tail, haproxy_tail = tails[first.name], tails["HAProxy, JWT ES256"]
    promises("edge", [
        ("Requests a processor second, token cached, against nginx with auth_request: at least the same", bare / own_rate, 1, f"{own_rate / bare:.2f} times, with its access log on {own_rate / logging:.2f}"),
        ("p99 at half load: at most 1.5 times HAProxy's", tail, haproxy_tail * 1.5, f"{tail:.2f} ms, HAProxy {haproxy_tail:.2f} ms"),
        ("A WebSocket message costs at most 20 µs", sockets_cost[first.name], 20, f"{sockets_cost[first.name]:.1f} µs"),
        (f"{sockets} idle WebSockets: at most 250 MiB", extra, 250, f"{extra:.0f} MiB more, {all_of_it:.0f} MiB in all"),
        ("A token seen for the first time: at most 60 µs", more, 60, f"{more:.0f} µs, of which openssl would take {verify:.0f} for the signature"),
    ])


bench(main)
