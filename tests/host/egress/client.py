#!/usr/bin/python3
"""What a program of a tenant does when it reaches for the world, in its cell. Knows no proxy but where it says so.
  client.py dns NAME TYPE [SERVER [tcp]]   the answer: code and addresses
  client.py tls NAME [ADDRESS [SNI]]       a handshake on 443; "ok", or the alert
  client.py first NAME PORT                what a server says that speaks first
  client.py port NAME…                     an answer of each name's port 80, in turn, from one and the same port of its own
  client.py urllib URL                     the body, or the status
  client.py hold URL                       a WebSocket, pinged ten times a second; "open", then "ended" when it ends
  client.py count URL SECONDS              a WebSocket that is silent for so long, then says one word; prints what comes back
  client.py events URL                     events of a stream; "N events, late by at most S" by the servers' own clock
  client.py load URL SECONDS               one request after the other; "N good, M bad"
  client.py many URL COUNT                 as many at once; a line for each kind of end
  client.py environment WORD               where a word is to be found in what this user can read"""
import base64, concurrent.futures, contextlib, json, os, pathlib, socket, ssl, struct, sys, time, urllib.error, urllib.parse, urllib.request

TYPES = {"A": 1, "CNAME": 5, "TXT": 16, "AAAA": 28, "HTTPS": 65, "ANY": 255, "NULL": 10}
CODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
PATIENCE = 40


def query(name, kind):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return os.urandom(2) + struct.pack(">HHHHH", 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", TYPES[kind], 1)


def records(reply):
    """Addresses in an answer; names in it are compressed or whole."""
    def skip(at):
        while reply[at]:
            if reply[at] >= 192:
                return at + 2
            at += reply[at] + 1
        return at + 1

    at, found = skip(12) + 4, []
    for _ in range(struct.unpack_from(">H", reply, 6)[0]):
        at = skip(at)
        kind, _, _, size = struct.unpack_from(">HHIH", reply, at)
        data = reply[at + 10 : at + 10 + size]
        if kind in (1, 28):
            found.append(socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6, data))
        at += 10 + size
    return found


def dns(name, kind, server="127.0.0.1", how="udp"):
    asked = query(name, kind)
    if how == "udp":
        link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        link.settimeout(3)
        link.sendto(asked, (server, 53))
        reply = link.recv(4096)
    else:
        link = socket.create_connection((server, 53), 3)
        link.sendall(struct.pack(">H", len(asked)) + asked)
        file = link.makefile("rb")
        reply = file.read(struct.unpack(">H", file.read(2))[0])
    return " ".join([CODES.get(reply[3] & 15, str(reply[3] & 15)), *records(reply)])


def tls(name, address=None, sni=None):
    link = socket.create_connection((address or name, 443), PATIENCE)
    try:
        secure = ssl.create_default_context().wrap_socket(link, server_hostname=sni or name)
        return "ok " + secure.version()
    except ssl.SSLError as error:
        return f"alert {error.reason}"


def first(name, port):
    return socket.create_connection((name, int(port)), PATIENCE).recv(100).decode().strip()


def port(*names):
    own, got = 0, []
    for name in names:
        link = socket.socket()
        link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        link.bind(("", own))
        own = link.getsockname()[1]
        link.settimeout(PATIENCE)
        link.connect((name, 80))
        link.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        got.append(link.makefile("rb").read().split(b"\r\n\r\n")[-1].decode().strip())
        link.close()
    return "; ".join(got)


def urllib_(url):
    try:
        return urllib.request.urlopen(url, timeout=PATIENCE).read().decode()
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read().decode()}"


class WebSocket:
    def __init__(self, url, headers=()):
        self.url = urllib.parse.urlsplit(url)
        name, secure = self.url.hostname, self.url.scheme in ("wss", "https")
        self.link = socket.create_connection((name, self.url.port or (443 if secure else 80)), PATIENCE)
        if secure:
            self.link = ssl.create_default_context().wrap_socket(self.link, server_hostname=name)
        lines = [f"GET {self.url.path or '/'} HTTP/1.1", f"Host: {name}", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
                 f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}", *headers, "", ""]
        self.link.sendall("\r\n".join(lines).encode())
        self.file = self.link.makefile("rb")
        self.status = int((self.file.readline().split() or [b"", b"0"])[1])
        while self.file.readline().strip():
            pass

    def send(self, text):
        body = text.encode()
        self.link.sendall(bytes([0x81, 0x80 | len(body)]) + bytes(4) + body)

    def receive(self):
        head = self.file.read(2)
        if len(head) < 2 or head[0] & 15 == 8:
            return None
        size = head[1] & 127
        return self.file.read(struct.unpack(">H", self.file.read(2))[0] if size == 126 else size).decode()


def hold(url):
    link = WebSocket(url)
    if link.status != 101:
        return f"refused {link.status}"
    print("open", flush=True)
    with contextlib.suppress(OSError):
        while True:
            link.send("ping")
            if link.receive() is None:
                break
            time.sleep(0.1)
    return "ended"


def count(url, seconds):
    link = WebSocket(url)
    link.link.settimeout(None)
    time.sleep(float(seconds))
    link.send("still here")
    return link.receive() or "ended"


def events(url):
    late = []
    for line in urllib.request.urlopen(url, timeout=PATIENCE):
        if line.startswith(b"data: "):
            late.append(time.time() - float(line.split()[2]))
    return f"{len(late)} events, late by at most {max(late, default=0):.3f}"


def load(url, seconds):
    good = bad = 0
    until = time.monotonic() + float(seconds)
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(url, timeout=PATIENCE).read()
            good += 1
        except OSError as error:
            bad += 1
            print(error, file=sys.stderr)
    return f"{good} good, {bad} bad"


def one(url):
    try:
        return str(urllib.request.urlopen(url, timeout=PATIENCE).status)
    except urllib.error.HTTPError as error:
        return str(error.code)
    except OSError as error:
        return type(getattr(error, "reason", error)).__name__


def many(url, count):
    with concurrent.futures.ThreadPoolExecutor(int(count)) as pool:
        ends = list(pool.map(one, [url] * int(count)))
    return "\n".join(f"{end} {ends.count(end)}" for end in sorted(set(ends)))


def readable(word):
    wanted = word.encode()
    for top in ("/run", "/etc", "/tmp", "/var", "/proc", os.environ.get("HOME", "/tmp")):
        for folder, folders, files in os.walk(top):
            if folder == "/proc":
                folders[:] = [name for name in folders if name.isdigit()]
            for name in files:
                path = pathlib.Path(folder, name)
                if top == "/proc" and name not in ("environ", "cmdline", "maps", "comm", "mountinfo"):
                    continue
                with contextlib.suppress(OSError):
                    if not path.is_file() or (top != "/proc" and path.stat().st_size > 64 << 20):
                        continue
                    if wanted in path.read_bytes():
                        yield str(path)


def environment(word):
    # Not in the arguments of this program: there it would find itself.
    word = bytes.fromhex(word).decode()
    return " ".join(["environment"] * any(word in value for value in os.environ.values()) + list(readable(word))) or "nowhere"


VERBS = {"dns": dns, "tls": tls, "first": first, "port": port, "urllib": urllib_, "hold": hold, "count": count, "events": events, "load": load, "many": many, "environment": environment}
if __name__ == "__main__":
    try:
        print(VERBS[sys.argv[1]](*sys.argv[2:]), flush=True)
    except (OSError, TimeoutError) as error:
        print(f"failed: {type(error).__name__}: {error}")
