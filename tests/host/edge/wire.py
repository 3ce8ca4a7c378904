#!/usr/bin/python3
"""WebSocket frames, good and bad, sent to a tenant's real gateway by itself and through the edge: what comes back must be the same. The sections are those of
Autobahn's test suite. Arguments: tenant, token. In the case that the environment calls ALTERED, the edge gets another last byte."""
import base64, concurrent.futures, json, os, socket, struct, subprocess, sys

from client import connect, host

tenant, token = sys.argv[1:]
END = b"the end"


def frame(kind, body=b"", fin=True, rsv=0, masked=True, length=None):
    size = len(body) if length is None else length
    form = struct.pack(">B", size) if size < 126 else struct.pack(">BH", 126, size) if size < 65536 else struct.pack(">BQ", 127, size)
    head = bytes([(0x80 if fin else 0) | rsv << 4 | kind, form[0] | (0x80 if masked else 0)]) + form[1:]
    return head + (bytes(4) if masked else b"") + body


def close(code, reason=b""):
    return frame(8, struct.pack(">H", code) + reason)


def cases():
    for size in (0, 1, 125, 126, 127, 128, 65535, 65536):
        yield f"1 text of {size} bytes", frame(1, b"*" * size)
        yield f"1 binary of {size} bytes", frame(2, b"\xfe" * size)
    for size in (0, 1, 125, 126):
        yield f"2 ping of {size} bytes", frame(9, b"\xfe" * size)
    yield "2 pong that nobody asked for", frame(10, b"x")
    yield "2 ten pings", b"".join(frame(9, bytes([65 + n])) for n in range(10))
    for rsv in range(1, 8):
        yield f"3 reserved bits {rsv}", frame(1, b"hello", rsv=rsv)
        yield f"3 reserved bits {rsv} in a ping", frame(9, b"hello", rsv=rsv)
    for kind in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        yield f"4 reserved kind {kind}", frame(kind, b"x")
    yield "5 ping in parts", frame(9, b"a", fin=False) + frame(0, b"b")
    yield "5 text in parts", frame(1, b"{", fin=False) + frame(0, b"}")
    yield "5 text in parts with a ping between", frame(1, b"{", fin=False) + frame(9, b"between") + frame(0, b"}")
    yield "5 continuation of nothing", frame(0, b"x")
    yield "5 text within a text", frame(1, b"a", fin=False) + frame(1, b"b")
    for name, body in {"lone continuation": b"\x80", "overlong": b"\xc0\xaf", "surrogate": b"\xed\xa0\x80", "beyond": b"\xf4\x90\x80\x80", "cut": b"\xce\xba\xe1", "good": "κόσμε".encode()}.items():
        yield f"6 {name}", frame(1, body)
        yield f"6 {name} in parts", b"".join(frame(1 if n == 0 else 0, body[n:n + 1], fin=n == len(body) - 1) for n in range(len(body)))
    yield "7 close", frame(8)
    yield "7 close of one byte", frame(8, b"\x03")
    for code in (0, 999, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1011, 1012, 1016, 1100, 2000, 2999, 3000, 3999, 4000, 4999, 5000, 65535):
        yield f"7 close {code}", close(code)
    yield "7 close with a reason", close(1000, b"r" * 123)
    yield "7 close with too long a reason", close(1000, b"r" * 124)
    yield "7 close whose reason is no text", close(1000, b"\xce\xba\xe1")
    yield "7 what comes after a close", close(1000) + frame(1, b"late") + frame(9, b"late")
    yield "9 unmasked", frame(1, b"hello", masked=False)
    yield "9 longer than anybody takes", frame(1, b"", length=1 << 40)
    yield "9 longer than there can be", frame(1, b"", length=1 << 63)


def upgraded(link, headers):
    lines = ["GET / HTTP/1.1", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}", *headers, "", ""]
    link.sendall("\r\n".join(lines).encode())
    file = link.makefile("rb")
    status = file.readline()
    if b" 101 " not in status:
        sys.exit(f"no WebSocket: {status}")
    while file.readline().strip():
        pass
    return link, file


def through_the_edge():
    return upgraded(connect(host(tenant), 30), [f"Host: {host(tenant)}", f"Authorization: Bearer {token}"])


def gateway():
    place = json.load(open(f"/var/lib/tenantd/compiled/{tenant}/network.json"))
    pid = subprocess.check_output(["systemctl", "show", "-P", "MainPID", f"tenant@{tenant}"], text=True).strip()
    config = json.load(open(f"/proc/{pid}/root/run/tenantd/secrets/.config/openclaw.json"))["gateway"]
    proof = config["auth"]["trustedProxy"]["requiredHeaders"][-1]
    address, port = place["link"]["tenant_address"], place["gateway_port"]
    headers = [f"Host: {address}:{port}", "X-Forwarded-For: 203.0.113.9", "X-Forwarded-User: operator", "X-Forwarded-Proto: https", f"X-Forwarded-Host: {host(tenant)}", f"{proof}: 1"]
    return (address, port), headers


ADDRESS, HEADERS = gateway()


def by_itself():
    return upgraded(socket.create_connection(ADDRESS, 30), HEADERS)


def seen(open_, sent, step):
    """What came back: kind and, where it says anything, the body of each frame."""
    link, file = open_()
    got = []
    try:
        for at in range(0, len(sent), step):
            link.sendall(sent[at:at + step])
        link.sendall(frame(9, END))
    except OSError:
        pass  # it was ended already; what was said before is still to be read
    try:
        while len(head := file.read(2)) == 2:
            length = head[1] & 127
            if length > 125:
                form = ">H" if length == 126 else ">Q"
                length = struct.unpack(form, file.read(struct.calcsize(form)))[0]
            body = file.read(length)
            if head[0] & 15 == 10 and body == END:
                got.append("goes on")
                break
            # What the gateway says by itself holds random numbers.
            got.append((head[0], body if head[0] & 15 > 7 else b""))
        else:
            got.append("ended")
    except OSError:
        got.append("ended")
    link.close()
    return got


def compared(case):
    name, sent = case
    for step in (len(sent), 1 if len(sent) < 300 else 999):
        alone, edge = seen(by_itself, sent, step), seen(through_the_edge, sent[:-1] + b"!" if name == os.environ.get("ALTERED") else sent, step)
        if alone != edge:
            return f"{name}, {step} bytes at a time: by itself {alone}, through the edge {edge}"
    return alone[-1]


with concurrent.futures.ThreadPoolExecutor(4) as pool:
    verdicts = list(pool.map(compared, cases()))
different = [verdict for verdict in verdicts if verdict not in ("ended", "goes on")]
print(*different, sep="\n")
print(f"{len(verdicts)} cases: {verdicts.count('goes on')} go on, {verdicts.count('ended')} end, {len(different)} differ")
sys.exit(1 if different else 0)
