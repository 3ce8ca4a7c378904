"""Web servers for every name, on 80, 443, 8080 and 8443; what a request looked like when it arrived is logged byte for byte."""
import base64, hashlib, itertools, json, socket, ssl, struct, time, urllib.parse

import journal, providers

PORTS = {80: False, 443: True, 8080: False, 8443: True}
NUMBERS = itertools.count(1)
HEAD_LIMIT = 1 << 20


class Request:
    """One request, read strictly enough to see what a client really sent."""

    def __init__(self, file):
        self.raw = b""
        while not self.raw.endswith(b"\r\n\r\n"):
            line = file.readline(HEAD_LIMIT)
            if not line or len(self.raw) > HEAD_LIMIT:
                raise EOFError
            self.raw += line
        lines = self.raw.decode("latin-1").split("\r\n")
        self.method, self.target, *_ = [*lines[0].split(" "), "", ""]
        self.fields = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines[1:] if line)]
        self.headers = {name.lower(): value for name, value in self.fields}
        self.url = urllib.parse.urlsplit(self.target)
        self.query = dict(urllib.parse.parse_qsl(self.url.query))
        self.body = b""

    def read_body(self, file):
        if "chunked" in self.headers.get("transfer-encoding", ""):
            while size := int(file.readline().split(b";")[0], 16):
                self.body += file.read(size)
                file.readline()
            while file.readline() not in (b"\r\n", b""):
                pass
        else:
            self.body = file.read(int(self.headers.get("content-length", 0)))


class Conversation:
    """A connection and its requests."""

    def __init__(self, link, sni, server):
        self.link, self.sni, self.server = link, sni, server
        self.number = next(NUMBERS)
        address = link.getsockname()
        self.to, self.port = address[0].removeprefix("::ffff:"), address[1]

    def run(self):
        file = self.link.makefile("rb")
        while True:
            request = Request(file)
            host = request.headers.get("host", "")
            if request.headers.get("expect") == "100-continue":
                self.link.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.read_body(file)
            self.note(request, host)
            if "websocket" in request.headers.get("upgrade", "").lower():
                return self.websocket(request, file, host)
            if not self.answer(request, host) or request.headers.get("connection", "").lower() == "close":
                return None

    def note(self, request, host):
        self.server.log.note(connection=self.number, to=self.to, port=self.port, sni=self.sni, host=host, method=request.method, target=request.target,
                             headers=request.fields, raw=request.raw.decode("latin-1")[:8192], body=request.body[:4096].decode("latin-1"), size=len(request.body))

    def whole(self, status, body, kind="text/plain", *fields):
        head = [f"HTTP/1.1 {status} World", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *fields, "", ""]
        self.link.sendall("\r\n".join(head).encode() + body)
        return True

    def begin(self, kind, *fields):
        self.link.sendall("\r\n".join(["HTTP/1.1 200 World", f"Content-Type: {kind}", "Transfer-Encoding: chunked", *fields, "", ""]).encode())

    def piece(self, data):
        self.link.sendall(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def end(self):
        self.link.sendall(b"0\r\n\r\n")
        return True

    def answer(self, request, host):
        name = host.split(":")[0]
        if name in providers.PROVIDERS:
            return self.server.providers.answer(self, request, name)
        path, query = request.url.path.removeprefix("/v1"), request.query
        if path == "/bytes":
            return self.bytes(int(query["n"]))
        if path == "/endless":
            return self.endless()
        if path == "/slow":
            return self.slow(int(query["n"]), float(query["every"]))
        if path == "/events":
            return self.events(int(query.get("n", 5)), float(query.get("every", 1)))
        if path == "/redirect":
            return self.whole(302, b"", "text/plain", f"Location: {query['to']}")
        if path.startswith("/status/"):
            return self.whole(int(path.rsplit("/", 1)[1]), b"as asked\n")
        if path == "/huge-head":
            return self.whole(200, b"x", "text/plain", *(f"X-Filler-{number}: {'x' * 8000}" for number in range(200)))
        if path == "/gzip-echo":
            import gzip
            return self.whole(200, gzip.compress(self.echo(request)), "application/json", "Content-Encoding: gzip")
        if path == "/" and request.method == "GET" and not name.startswith("api."):
            return self.whole(200, f"hello from {name}\n".encode())
        return self.whole(200, self.echo(request), "application/json")

    def echo(self, request):
        seen = {"method": request.method, "path": request.target, "headers": request.fields, "body": request.body.decode("latin-1"), "sni": self.sni}
        return json.dumps(seen).encode()

    def bytes(self, count):
        self.link.sendall(f"HTTP/1.1 200 World\r\nContent-Length: {count}\r\n\r\n".encode())
        while count > 0:
            self.link.sendall(bytes(min(count, 65536)))
            count -= 65536
        return True

    def endless(self):
        self.begin("application/octet-stream")
        while True:
            self.piece(bytes(65536))

    def slow(self, count, every):
        self.begin("text/plain")
        for number in range(count):
            self.piece(f"{number}\n".encode())
            time.sleep(every)
        return self.end()

    def events(self, count, every):
        self.begin("text/event-stream", "Cache-Control: no-cache")
        for number in range(count):
            self.piece(f"data: {number} {time.time():.3f}\n\n".encode())
            time.sleep(every)
        return self.end()

    def websocket(self, request, file, host):
        """Echoes until the other end closes."""
        made = base64.b64encode(hashlib.sha1((request.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
        self.link.sendall(f"HTTP/1.1 101 World\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {made}\r\n\r\n".encode())
        while len(head := file.read(2)) == 2:
            size = head[1] & 127
            if size > 125:
                size = struct.unpack(">H", file.read(2))[0] if size == 126 else struct.unpack(">Q", file.read(8))[0]
            mask = file.read(4) if head[1] & 128 else bytes(4)
            body = bytes(byte ^ mask[at % 4] for at, byte in enumerate(file.read(size)))
            self.server.log.note(connection=self.number, host=host, websocket=head[0] & 15, body=body[:4096].decode("latin-1"))
            length = bytes([size]) if size < 126 else struct.pack(">BH", 126, size) if size < 65536 else struct.pack(">BQ", 127, size)
            self.link.sendall(bytes([head[0] | 128]) + length + body)
            if head[0] & 15 == 8:
                return


class Server:
    def __init__(self, directory):
        self.log = journal.Journal(directory / "web.log")
        self.providers = providers.Providers(directory)
        self.certificates = {name: self.context(directory, name) for name in ("world", "wrong", "untrusted")}

    @staticmethod
    def context(directory, name):
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(directory / f"{name}.pem", directory / f"{name}.key")
        made.set_alpn_protocols(["http/1.1"])
        return made

    def run(self, port, tls):
        listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=512)
        while True:
            link, _ = listener.accept()
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            journal.in_thread(self.talk, link, tls)

    def talk(self, link, tls):
        sni = None
        try:
            if tls:
                link, sni = self.secure(link)
            Conversation(link, sni, self).run()
        except (OSError, EOFError, ValueError, KeyError) as error:
            self.log.note(to=link.getsockname()[0] if link.fileno() >= 0 else None, sni=sni, ended=f"{type(error).__name__}: {error}"[:200])
        finally:
            link.close()

    def secure(self, link):
        seen = []
        made = self.context_for_all(seen)
        return made.wrap_socket(link, server_side=True), seen[0] if seen else None

    def context_for_all(self, seen):
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.set_alpn_protocols(["http/1.1"])

        def choose(tls, name, _):
            seen.append(name)
            tls.context = self.certificates.get((name or "").split(".")[0], self.certificates["world"])

        made.sni_callback = choose
        made.load_cert_chain(*self.usual)
        return made


def start(directory):
    server = Server(directory)
    server.usual = (directory / "world.pem", directory / "world.key")
    for port, tls in PORTS.items():
        journal.in_thread(server.run, port, tls)
