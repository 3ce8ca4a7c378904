"""Requests in HTTP/2 frames that no good client sends: each must be refused, and none may reach the gateway in another form. Arguments: tenant, token."""
import struct, sys
from client import connect, host

tenant, token = sys.argv[1:]
NAME = host(tenant)


def field(name, value):
    """A literal header field, never indexed, without Huffman (RFC 7541, 6.2.3)."""
    part = lambda raw: length(len(raw)) + raw
    return b"\x10" + part(name.encode("latin1")) + part(value.encode("latin1"))


def length(number):
    if number < 127:
        return bytes([number])
    out, number = b"\x7f", number - 127
    while number >= 128:
        out, number = out + bytes([number % 128 + 128]), number // 128
    return out + bytes([number])


def frame(kind, flags, stream, body):
    return struct.pack(">I", len(body))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + body


def ask(*fields, body=None, method="GET", path="/echo", authority=NAME, scheme="https"):
    pseudo = [(":method", method), (":scheme", scheme), (":path", path), (":authority", authority)]
    pseudo = [pair for pair in pseudo if pair[1] is not None]
    head = b"".join(field(*pair) for pair in [*pseudo, ("authorization", f"Bearer {token}"), *fields])
    out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + frame(1, 4 if body is not None else 5, 1, head)
    if body is not None:
        out += frame(0, 1, 1, body)
    link = connect(NAME, 10, ("h2",))
    if link.selected_alpn_protocol() != "h2":
        sys.exit("the edge does not speak HTTP/2")
    link.sendall(out)
    link.settimeout(5)
    file = link.makefile("rb")
    try:
        while len(head := file.read(9)) == 9:
            size, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
            data = file.read(size)
            if kind == 1:
                return status(data)
            if kind == 3:
                return "reset"
            if kind == 7:
                return "gone"
            if kind == 4 and not flags & 1:
                link.sendall(frame(4, 1, 0, b""))
    except OSError as error:
        return type(error).__name__
    finally:
        link.close()
    return "closed"


def status(block):
    """Of an answer: the first field is :status, indexed or literal (RFC 7541, appendix A)."""
    while block and block[0] & 0xE0 == 0x20:
        block = block[1:]
    indexed = {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}
    if block[0] & 0x80:
        return indexed.get(block[0] & 0x7F)
    text = block[2:2 + (block[1] & 0x7F)]
    if block[1] & 0x80:  # Huffman: digits 0, 1, 2 have five bits, 3 to 9 six
        bits = bin(int.from_bytes(text, "big"))[2:].zfill(len(text) * 8)
        codes = {"00000": "0", "00001": "1", "00010": "2", **{f"{25 + n:06b}": str(3 + n) for n in range(7)}}
        out, code = "", ""
        for bit in bits:
            code += bit
            if code in codes:
                out, code = out + codes[code], ""
        return int(out)
    return int(text)


WRONG = {
    "another :authority": ask(authority="beta.agents.test"),
    "a Host that differs": ask(("host", "beta.agents.test")),
    "two :authority": ask((":authority", NAME)),
    "transfer-encoding": ask(("transfer-encoding", "chunked"), method="POST", body=b"0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n"),
    "connection": ask(("connection", "x-own")),
    "content-length too short": ask(("content-length", "1"), method="POST", body=b"more than one"),
    "content-length too long": ask(("content-length", "50"), method="POST", body=b"less"),
    "content-length twice": ask(("content-length", "4"), ("content-length", "5"), method="POST", body=b"less"),
    "line break in a value": ask(("x", "y\r\nx-forwarded-user: owner")),
    "line break in a name": ask(("x: y\r\nz", "1")),
    "line break in the path": ask(path="/echo HTTP/1.1\r\nHost: beta.agents.test\r\n\r\nGET /smuggled"),
    "line break in the method": ask(method="GET / HTTP/1.1\r\nX:"),
    "space in the path": ask(path="/echo /smuggled"),
    "a name in capitals": ask(("X-Forwarded-User", "owner")),
    "an unknown pseudo-header": ask((":role", "owner")),
    "no path": ask(path=None),
    "an empty path": ask(path=""),
    "CONNECT": ask(method="CONNECT", path=None, scheme=None),
    "te": ask(("te", "gzip")),
}
if (got := ask()) != 200:
    sys.exit(f"the positive control is refused: {got}")
if (got := ask(("content-length", "4"), method="POST", body=b"good")) != 200:
    sys.exit(f"the positive control with a body is refused: {got}")
bad = {name: got for name, got in WRONG.items() if got == 200 or got is None}
for name, got in bad.items():
    print(f"{name}: {got}")
print(f"{len(WRONG)} tried, {len(bad)} taken:", ", ".join(f"{name} {got}" for name, got in WRONG.items()))
sys.exit(bool(bad))
