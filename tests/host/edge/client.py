"""A client of the edge that can send anything. As a module: connections, WebSockets. As a program:
  client.py ws TENANT TOKEN [PATH]       connects, says "hello", prints what comes back, one line each
  client.py hold TENANT TOKEN FILE       a WebSocket, pinged every 100 ms; FILE says "open", and how long it lived after FILE.go appeared
  client.py stream TENANT TOKEN FILE     the same with a stream of events
  client.py upgrade TENANT HEADER…       status of an upgrade with these headers"""
import base64, contextlib, os, pathlib, select, socket, ssl, struct, sys, time

DOMAIN = os.environ.get("DOMAIN", "agents.test")
ADDRESS = os.environ.get("INSIDE", "198.51.100.1")
PORT = int(os.environ.get("EDGE_PORT", "443"))
CERTIFICATE = os.environ.get("CERTIFICATE", "/var/lib/tenantd/edge/tls/cert.pem")


def context():
    made = ssl.create_default_context(cafile=CERTIFICATE)
    made.check_hostname = False
    return made


CONTEXT = context()


def connect(name, timeout=20, protocols=("http/1.1",)):
    """A TLS connection with this name in its SNI; none for None."""
    plain = socket.create_connection((ADDRESS, PORT), timeout)
    made = CONTEXT if protocols == ("http/1.1",) else context()
    if protocols:
        made.set_alpn_protocols(list(protocols))
    return made.wrap_socket(plain, server_hostname=name)


def host(tenant):
    return f"{tenant}.{DOMAIN}"


def exchange(name, request, timeout=20, half_close=False):
    """Everything that comes back for these bytes until the connection ends, or nothing more comes for 2 s."""
    link = connect(name, timeout)
    got = b""
    # What is refused early may be answered while it is still being sent.
    with contextlib.suppress(TimeoutError, ssl.SSLError, ConnectionError):
        link.sendall(request)
    with contextlib.suppress(TimeoutError, ssl.SSLError, ConnectionError):
        link.settimeout(2)
        while more := link.recv(65536):
            got += more
    link.close()
    return got


def statuses(answer):
    """Of every answer in it."""
    found = []
    for line in answer.split(b"\r\n"):
        if line.startswith(b"HTTP/1.1 "):
            found.append(int(line.split()[1]))
    return found


class WebSocket:
    def __init__(self, tenant, headers, path="/echo", timeout=20):
        self.link = connect(host(tenant), timeout)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {path} HTTP/1.1", f"Host: {host(tenant)}", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
                 f"Sec-WebSocket-Key: {key}", *headers, "", ""]
        self.link.sendall("\r\n".join(lines).encode())
        self.file = self.link.makefile("rb")
        self.status = int((self.file.readline().split() or [b"", b"0"])[1])
        self.headers = {}
        while line := self.file.readline().strip():
            name, _, value = line.decode().partition(":")
            self.headers[name.lower()] = value.strip()

    def send(self, body, kind=1):
        size = struct.pack(">B", 0x80 | len(body)) if len(body) < 126 else struct.pack(">BH", 0xFE, len(body)) if len(body) < 65536 else struct.pack(">BQ", 0xFF, len(body))
        self.link.sendall(bytes([0x80 | kind]) + size + bytes(4) + body)  # masked with zeros

    def receive(self):
        """Kind and body of a frame; None at the end."""
        head = self.file.read(2)
        if len(head) < 2:
            return None
        length = head[1] & 127
        if length > 125:
            form = ">H" if length == 126 else ">Q"
            length = struct.unpack(form, self.file.read(struct.calcsize(form)))[0]
        return head[0] & 15, self.file.read(length)

    def ended(self, seconds):
        """Whether the other side ends it in time."""
        self.link.settimeout(seconds)
        try:
            while True:
                frame = self.receive()
                if frame is None or frame[0] == 8:
                    return True
        except TimeoutError:
            return False
        except OSError:
            return True


def wait_for(file):
    while not pathlib.Path(file).exists():
        time.sleep(0.01)
    return time.monotonic()


def hold(tenant, token, file):
    socket_ = WebSocket(tenant, [f"Authorization: Bearer {token}"], "/")
    if socket_.status != 101:
        sys.exit(f"no WebSocket: {socket_.status}")
    pathlib.Path(file).write_text("open")
    go = f"{file}.go"
    alive(file, go, lambda: socket_.send(b"still here"), socket_.link)


def stream(tenant, token, file):
    link = connect(host(tenant))
    link.sendall(f"GET /events?count=100000&every=50 HTTP/1.1\r\nHost: {host(tenant)}\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    if b" 200 " not in link.recv(4096):
        sys.exit("no stream")
    pathlib.Path(file).write_text("open")
    alive(file, f"{file}.go", lambda: None, link)


def alive(file, go, speak, link):
    """Speaks and listens until the other side ends it; then says how long that took since `go`."""
    since = None
    link.settimeout(None)
    try:
        while True:
            if since is None and pathlib.Path(go).exists():
                since = time.monotonic()
            speak()
            if (select.select([link], [], [], 0.05)[0] or link.pending()) and not link.recv(65536):
                break
            if since is not None and time.monotonic() - since > 20:
                pathlib.Path(file).write_text("lives")
                return
    except OSError:
        pass
    took = time.monotonic() - since if since is not None else -1
    pathlib.Path(file).write_text(f"ended {took:.2f}")


def main(verb, *words):
    if verb == "ws":
        tenant, token, *path = words
        socket_ = WebSocket(tenant, [f"Authorization: Bearer {token}", "Sec-WebSocket-Protocol: first, second"], *path)
        if socket_.status != 101:
            sys.exit(f"no WebSocket: {socket_.status}")
        print(socket_.headers.get("sec-websocket-protocol"))
        print(socket_.receive()[1].decode())
        socket_.send(b"hello")
        print(socket_.receive()[1].decode())
        socket_.send(b"ping", 9)
        assert socket_.receive() == (10, b"ping")
        big = os.urandom(200_000)
        socket_.send(big, 2)
        assert socket_.receive() == (2, big)
        socket_.send(struct.pack(">H", 1000), 8)
        print("ended" if socket_.ended(5) else "goes on")
    elif verb == "upgrade":
        print(WebSocket(words[0], words[1:]).status)
    elif verb == "hold":
        hold(*words)
    elif verb == "stream":
        stream(*words)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
