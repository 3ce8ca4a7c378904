#!/usr/bin/python3
"""Ways out of a cell, one act each: attack.py ACT [WORD…]. It says "reached …" if something answered or could be sent, "refused …" if not, and
ends with 0 either way; run outside a cell, it reaches. Without an act: their names."""
import ctypes, os, signal, socket, ssl, struct, subprocess, sys, threading, time

import client
import packets  # its acts are among those
from acts import ACTS, PATIENCE, PROXY, act, http, judged, received


# ---- what the proxy is told

def told(data, patience=40):
    """What the proxy says to these bytes, first of all."""
    link = socket.create_connection(PROXY, PATIENCE)
    try:
        link.sendall(data)
        link.settimeout(patience)
        return link.recv(65536)
    except (BrokenPipeError, ConnectionResetError):
        return b""


@act
def connect_to(authority):
    """CONNECT with an authority in which \\r, \\n and \\x may be written so."""
    raw = authority.encode().decode("unicode_escape").encode("latin-1")
    return judged(told(b"CONNECT " + raw + b" HTTP/1.1\r\nHost: " + raw + b"\r\n\r\n"))


@act
def absolute(url, host=""):
    """A request in absolute form, with another Host if there is one."""
    name = host or url.split("/")[2]
    return judged(told(f"GET {url} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode()))


@act
def redirected(address, port="80", host=""):
    """A connection to an address as any program makes it, with a Host if there is one."""
    address = address.strip("[]")
    with socket.create_connection((address, int(port)), 40) as link:
        return http(link, host or address)


def secure(link, sni):
    """TLS without a check of who answers: an attacker does not care."""
    made = ssl.create_default_context()
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    return made.wrap_socket(link, server_hostname=sni)


def tunnel(authority):
    link = socket.create_connection(PROXY, PATIENCE)
    link.settimeout(40)
    link.sendall(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
    got = link.recv(4096)
    if b" 200" not in got.split(b"\r\n")[0]:
        raise OSError(got.split(b"\r\n")[0].decode())
    return link


@act
def other_sni(connected, shown):
    """CONNECT to one name, a handshake for another."""
    try:
        return http(secure(tunnel(f"{connected}:443"), None if shown == "none" else shown), shown)
    except ssl.SSLError as error:
        return f"refused: {error.reason}"


@act
def fronted(sni, host, times="1"):
    """A handshake for one name, then requests for another on the same connection; the first is an honest one if there are several."""
    link = secure(tunnel(f"{sni}:443"), sni)
    for number in range(int(times)):
        name = host if number == int(times) - 1 else sni
        link.sendall(f"GET /v1/x HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
        link.settimeout(40)
        got = link.recv(65536)
    return judged(got)


@act
def plain_in_a_tunnel(connected, host):
    """Cleartext where TLS is expected."""
    return http(tunnel(f"{connected}:443"), host)


def plain_hello(sni):
    """A ClientHello as the library makes it, and where the length of its extensions stands."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    shaking = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=sni)
    try:
        shaking.do_handshake()
    except ssl.SSLWantReadError:
        pass
    data = bytearray(outgoing.read())
    at = 5 + 4 + 2 + 32
    at += 1 + data[at]
    at += 2 + struct.unpack_from(">H", data, at)[0]
    return data, at + 1 + data[at]


def grown(data, by, *places):
    for place in (3, 7, *places):
        struct.pack_into(">H", data, place, struct.unpack_from(">H", data, place)[0] + by)
    return bytes(data)


def hello_with_encrypted_name(sni):
    data, at = plain_hello(sni)
    extension = struct.pack(">HHBHHBHH", 0xFE0D, 10 + 32, 0, 1, 1, 7, 0, 32) + os.urandom(32)
    data[at + 2 : at + 2] = extension
    return grown(data, len(extension), at)


def hello_with_two_names(sni, other):
    data, at = plain_hello(sni)
    place = at + 2
    while struct.unpack_from(">H", data, place)[0] != 0:
        place += 4 + struct.unpack_from(">H", data, place + 2)[0]
    entry = struct.pack(">BH", 0, len(other)) + other.encode()
    end = place + 4 + struct.unpack_from(">H", data, place + 2)[0]
    data[end:end] = entry
    return grown(data, len(entry), at, place + 2, place + 4)


def alerted(got):
    if got[:1] == b"\x16":
        return "reached: a ServerHello"
    return f"refused: alert {got[6]}" if got[:1] == b"\x15" and len(got) > 6 else f"refused: {got[:20]!r}"


@act
def encrypted_hello(outer):
    """A hello whose true name is encrypted."""
    link = tunnel(f"{outer}:443")
    link.sendall(hello_with_encrypted_name(outer))
    return alerted(received(link, 8))


@act
def two_names():
    """Two server names in one hello."""
    link = tunnel("allowed.example.com:443")
    link.sendall(hello_with_two_names("allowed.example.com", "other.example.com"))
    return alerted(received(link, 8))


@act
def hello_by_bytes(sni):
    """A hello in pieces of one byte: still read, and still judged."""
    link = tunnel(f"{sni}:443")
    for byte in plain_hello(sni)[0]:
        link.sendall(bytes([byte]))
    return alerted(received(link, 8))


# Each smuggles a request to /smuggled past one that is allowed.
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: HOST\r\nX: "
SMUGGLING = {
    "length-and-chunked": b"POST /v1/items/1 HTTP/1.1\r\nHost: HOST\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "two-lengths": b"POST /v1/items/1 HTTP/1.1\r\nHost: HOST\r\nContent-Length: 0\r\nContent-Length: 40\r\n\r\n" + SMUGGLED,
    "length-with-sign": b"POST /v1/items/1 HTTP/1.1\r\nHost: HOST\r\nContent-Length: +0\r\n\r\n" + SMUGGLED,
    "length-list": b"POST /v1/items/1 HTTP/1.1\r\nHost: HOST\r\nContent-Length: 0, 40\r\n\r\n" + SMUGGLED,
    "chunked-spelt": b"POST /v1/items/1 HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunked-twice": b"POST /v1/items/1 HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "space-before-colon": b"POST /v1/items/1 HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "folded": b"GET /v1/x HTTP/1.1\r\nHost: HOST\r\nX-A: b\r\n GET /smuggled HTTP/1.1\r\n\r\n",
    "bare-line-feed": b"GET /v1/x HTTP/1.1\nHost: HOST\n\nGET /smuggled HTTP/1.1\nHost: HOST\n\n",
    "bare-return": b"GET /v1/x HTTP/1.1\r\nHost: HOST\r\nX: a\rGET /smuggled HTTP/1.1\r\n\r\n",
    "two-hosts": b"GET /v1/x HTTP/1.1\r\nHost: HOST\r\nHost: other.example.com\r\n\r\n",
    "no-host": b"GET /v1/x HTTP/1.1\r\n\r\n",
    "old-protocol": b"GET /v1/x HTTP/1.0\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "nothing-but-a-path": b"GET /smuggled\r\n\r\n",
    "chunk-extension": b"POST /v1/items/1 HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n0;a\nb\r\n\r\n" + SMUGGLED,
    "chunk-size-overflow": b"POST /v1/items/1 HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n" + SMUGGLED,
    "zero-in-a-name": b"GET /v1/x HTTP/1.1\r\nHost: HOST\0.other.example.com\r\n\r\n",
    "spaces-in-the-line": b"GET  /v1/x  /smuggled HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "upgrade-without-answer": b"GET /v1/x HTTP/1.1\r\nHost: HOST\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 9\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n" + SMUGGLED,
}


@act
def smuggle(how, name="api.example.com"):
    """In a connection whose requests are looked at."""
    link = secure(tunnel(f"{name}:443"), name)
    link.sendall(SMUGGLING[how].replace(b"HOST", name.encode()) + b"y\r\n\r\n")
    return "answered: " + " | ".join(line for line in received(link, 1).decode("latin-1").split("\r\n") if line.startswith("HTTP/"))


@act
def smuggle_absolute(how):
    """By the explicit proxy, in absolute form."""
    name = b"allowed.example.com"
    link = socket.create_connection(PROXY, PATIENCE)
    link.sendall(SMUGGLING[how].replace(b"HOST", name).replace(b" /v1", b" http://" + name + b"/v1", 1).replace(b"GET /smuggled", b"GET http://other.example.com/smuggled") + b"y\r\n\r\n")
    return "answered: " + " | ".join(line for line in received(link, 1).decode("latin-1").split("\r\n") if line.startswith("HTTP/"))


# ---- time and size

@act
def slow_heads(count, seconds):
    """Connections that never finish their heads; how many of them are ended in the time."""
    links = [socket.create_connection(PROXY, PATIENCE) for _ in range(int(count))]
    until, ended = time.monotonic() + float(seconds), set()
    while time.monotonic() < until and len(ended) < len(links):
        for number, link in enumerate(links):
            if number in ended:
                continue
            try:
                link.sendall(b"G" if link.fileno() else b"")
                link.settimeout(0.01)
                if not link.recv(100):
                    ended.add(number)
            except TimeoutError:
                pass
            except OSError:
                ended.add(number)
        time.sleep(0.5)
    return f"{len(ended)} of {len(links)} ended"


@act
def huge_head():
    """Headers without an end: judged before they are all sent."""
    link = socket.create_connection(PROXY, PATIENCE)
    link.settimeout(20)
    sent = 0
    try:
        link.sendall(b"GET http://allowed.example.com/ HTTP/1.1\r\nHost: allowed.example.com\r\n")
        while sent < 64 << 20:
            sent += len(line := b"X-Filler: " + b"x" * 8000 + b"\r\n")
            link.sendall(line)
    except OSError:
        pass
    return f"refused after {sent} bytes" if sent < 16 << 20 else f"reached: {sent} bytes taken"


@act
def many_connections(count, seconds):
    """So many at once, of every kind, held open."""
    links = []
    for number in range(int(count)):
        try:
            link = socket.create_connection(("127.0.0.1", (3128, 53, 3129)[number % 3]), PATIENCE)
            link.sendall(b"C" if number % 2 else b"")
            links.append(link)
        except OSError:
            break
    print(f"open {len(links)}", flush=True)
    time.sleep(float(seconds))
    return "ended"


@act
def flood_of_questions(count):
    """Unlisted names, one after the other, nobody waiting for an answer."""
    for number in range(int(count)):
        link = socket.create_connection(PROXY, PATIENCE)
        link.sendall(f"GET http://n{number}.example.com/ HTTP/1.1\r\nHost: n{number}.example.com\r\n\r\n".encode())
        time.sleep(0.02)
        link.close()
    return "sent"


# ---- programs

@act
def named(name, url):
    """A process that calls itself by another name."""
    ctypes.CDLL(None).prctl(15, name.encode(), 0, 0, 0)
    return "status " + client.one(url)


@act
def inherited(url, *program):
    """Connects here, then becomes a program that may: it sends on a connection that it has not made."""
    host = url.split("/")[2]
    link = socket.create_connection(PROXY, PATIENCE)
    link.setblocking(True)  # for the program to come
    os.dup2(link.fileno(), 7)
    script = f'printf "GET {url} HTTP/1.1\\r\\nHost: {host}\\r\\nConnection: close\\r\\n\\r\\n" >&7; head -n 1 <&7'
    os.execv("/bin/sh", ["sh", "-c", script])


@act
def held_beside(url, program):
    """A connection that a program that may holds, too, while this one speaks on it."""
    host = url.split("/")[2]
    link = socket.create_connection(PROXY, PATIENCE)
    os.set_inheritable(link.fileno(), True)
    child = subprocess.Popen([program, "--max-time", "60", "telnet://127.0.0.1:18789"], close_fds=False, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        return http(link, host, url)
    finally:
        child.kill()


@act
def held_by_thread(url, *program):
    """A connection that a thread made whose process's first thread has ended, and speaks on; with a program, that one holds it, too."""
    def work():
        try:
            while " Z " not in open(f"/proc/self/task/{os.getpid()}/stat").read():
                time.sleep(0.01)
            link = socket.create_connection(PROXY, PATIENCE)
            print(held_beside(url, *program) if program else http(link, url.split("/")[2], url), flush=True)
        except OSError as error:
            print(f"refused: {error}", flush=True)
        os._exit(0)

    threading.Thread(target=work).start()
    # exit(2) ends one thread.
    ctypes.CDLL(None).syscall(60, 0)


@act
def disturb(pid):
    """Signals and traces another process."""
    libc, found = ctypes.CDLL(None, use_errno=True), []
    for number in (0, signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(int(pid), number)
            found.append(f"signal {number}")
        except OSError:
            pass
    if libc.ptrace(16, int(pid), 0, 0) == 0:
        found.append("traced")
    for name in ("mem", "environ", "fd", "root"):
        try:
            os.listdir(f"/proc/{pid}/{name}") if name in ("fd", "root") else open(f"/proc/{pid}/{name}", "rb").read(1)
            found.append(name)
        except OSError:
            pass
    return f"reached: {' '.join(found)}" if found else "refused: nothing"


@act
def listen_instead(port, kind="tcp", address="127.0.0.1"):
    link = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        link.setsockopt(socket.SOL_SOCKET, option, 1)
    link.bind((address, int(port)))
    return "reached: bound"


@act
def listen_at(address, port):
    """Whether a socket of one's own at a port takes what one connects to another address at that port."""
    with socket.create_server(("", int(port))) as own:
        link = socket.socket()
        link.setblocking(False)
        link.connect_ex((address, int(port)))
        own.settimeout(PATIENCE)
        try:
            own.accept()
        except TimeoutError:
            return "refused: nothing came"
    return "reached: it took the connection"


@act
def host_socket(path):
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    link.settimeout(PATIENCE)
    link.connect(path)
    return "reached: connected"


if __name__ == "__main__":
    if len(sys.argv) < 2:
        print("\n".join(ACTS))
    else:
        try:
            print(ACTS[sys.argv[1]](*sys.argv[2:]), flush=True)
        except (OSError, struct.error, IndexError) as error:
            print(f"refused: {type(error).__name__}: {error}", flush=True)
