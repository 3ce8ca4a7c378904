"""Requests that two servers could read differently. Each must be refused with 400 (or what is named) and end the connection, and the request
hidden in it must never reach the gateway. Arguments: tenant, token."""
import json, sys
from client import connect, exchange, host, statuses

tenant, token = sys.argv[1:]
NAME = host(tenant)
AUTH = f"Authorization: Bearer {token}"
HIDDEN = f"GET /smuggled HTTP/1.1\r\nHost: {NAME}\r\n{AUTH}\r\n\r\n"
size = len(HIDDEN)


def post(*headers, body="", line="POST /echo HTTP/1.1", named=True):
    lines = [line, *([f"Host: {NAME}"] if named else []), AUTH, *headers, "", ""]
    return "\r\n".join(lines) + body


chunked = "Transfer-Encoding: chunked"
end = "0\r\n\r\n"
ATTACKS = {
    "CL.TE": post(f"Content-Length: {len(end) + size}", chunked, body=end + HIDDEN),
    "TE.CL": post(chunked, "Content-Length: 4", body=f"{size:x}\r\n{HIDDEN}\r\n{end}"),
    "TE.TE, second unknown": post(chunked, "Transfer-Encoding: x", body=end + HIDDEN),
    "TE.TE, first unknown": post("Transfer-Encoding: x", chunked, body=end + HIDDEN),
    "TE identity, chunked": post("Transfer-Encoding: identity, chunked", body=end + HIDDEN),
    "TE gzip, chunked": post("Transfer-Encoding: gzip, chunked", body=end + HIDDEN),
    "TE chunked, chunked": post("Transfer-Encoding: chunked, chunked", body=end + HIDDEN),
    "TE xchunked": post("Transfer-Encoding: xchunked", body=end + HIDDEN),
    "TE with a tab": post("Transfer-Encoding:\tchunked\x0b", body=end + HIDDEN),
    "TE with a quote": post('Transfer-Encoding: "chunked"', body=end + HIDDEN),
    "TE behind a space": post("Transfer-Encoding : chunked", body=end + HIDDEN),
    "TE on a folded line": post("Transfer-Encoding:\r\n chunked", body=end + HIDDEN),
    "TE by folding another": post("X: y\r\n Transfer-Encoding: chunked", f"Content-Length: {len(end) + size}", body=end + HIDDEN),
    "TE and HTTP/1.0": post(chunked, body=end + HIDDEN, line="POST /echo HTTP/1.0"),
    "Content-Length twice": post("Content-Length: 0", f"Content-Length: {size}", body=HIDDEN),
    "Content-Length twice, equal": post(f"Content-Length: {size}", f"Content-Length: {size}", body=HIDDEN),
    "Content-Length as a list": post(f"Content-Length: {size}, {size}", body=HIDDEN),
    "Content-Length +": post(f"Content-Length: +{size}", body=HIDDEN),
    "Content-Length -": post("Content-Length: -1", body=HIDDEN),
    "Content-Length hexadecimal": post(f"Content-Length: {size:#x}", body=HIDDEN),
    "Content-Length with a space inside": post(f"Content-Length: {str(size)[0]} {str(size)[1:]}", body=HIDDEN),
    "Content-Length empty": post("Content-Length:", body=HIDDEN),
    "Content-Length too large": post("Content-Length: 99999999999999999999999", body=HIDDEN),
    "Content-Length behind a space": post(f"Content-Length : {size}", body=HIDDEN),
    "Content_Length": post(f"Content_Length: {size}", chunked, body=end) + post(line="BAD /smuggled HTTP/1.1 x"),
    "obs-fold": post("X: y", " folded", "Content-Length: 0"),
    "a first line that is folded": f"GET /echo HTTP/1.1\r\n Host: {NAME}\r\n{AUTH}\r\n\r\n",
    "bare LF": f"GET /echo HTTP/1.1\nHost: {NAME}\n{AUTH}\n\n",
    "bare LF in one line": f"GET /echo HTTP/1.1\r\nHost: {NAME}\r\nX: y\n{AUTH}\r\n\r\n",
    "bare CR in a value": f"GET /echo HTTP/1.1\r\nHost: {NAME}\r\nX: y\rZ: 1\r\n{AUTH}\r\n\r\n",
    "bare CR as a line's end": f"GET /echo HTTP/1.1\r\nHost: {NAME}\r{AUTH}\r\n\r\n",
    "LF ends the head": f"POST /echo HTTP/1.1\r\nHost: {NAME}\r\n{AUTH}\r\nContent-Length: 0\r\n\n{HIDDEN}",
    "nil in a value": post("X: a\0b"),
    "nil in a name": post("X\0: a"),
    "control character in a value": post("X: a\x01b"),
    "no colon": post("nothing here"),
    "no name": post(": value"),
    "space in a name": post("X Y: 1"),
    "Host twice": post("Host: beta.agents.test", "Content-Length: 0"),
    "Host twice, equal": post(f"Host: {NAME}", "Content-Length: 0"),
    "no Host": post("Content-Length: 0", named=False),
    "Host empty": post("Host:", "Content-Length: 0", named=False),
    "Host with a user": post(f"Host: beta@{NAME}", "Content-Length: 0", named=False),
    "Host with a path": post(f"Host: {NAME}/x", "Content-Length: 0", named=False),
    "Host as a list": post(f"Host: {NAME}, beta.agents.test", "Content-Length: 0", named=False),
    "absolute form, another": post("Content-Length: 0", line="POST http://beta.agents.test/echo HTTP/1.1"),
    "absolute form, another scheme": post("Content-Length: 0", line=f"POST ftp://{NAME}/echo HTTP/1.1"),
    "authority form": post(line=f"GET {NAME}:443 HTTP/1.1"),
    "CONNECT": post(line=f"CONNECT {NAME}:443 HTTP/1.1"),
    "TRACE": post(line="TRACE /echo HTTP/1.1"),
    "no path": post(line="GET echo HTTP/1.1"),
    "space in the path": post(line="GET /echo /smuggled HTTP/1.1"),
    "tab in the first line": post(line="GET\t/echo HTTP/1.1"),
    "HTTP/1.2": post(line="GET /echo HTTP/1.2"),
    "HTTP/2.0 in words": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN,
    "HTTP/0.9": "GET /smuggled\r\n\r\n",
    "chunk length with a sign": post(chunked, body=f"+{size:x}\r\n{HIDDEN}\r\n{end}"),
    "chunk length 0x": post(chunked, body=f"0x{size:x}\r\n{HIDDEN}\r\n{end}"),
    "chunk length with a space": post(chunked, body=f"{size:x} \r\n{HIDDEN}\r\n{end}"),
    "chunk length empty": post(chunked, body=f"\r\n{HIDDEN}\r\n{end}"),
    "chunk length too large": post(chunked, body=f"fffffffffffffffff\r\n{HIDDEN}\r\n{end}"),
    "chunk length that overflows": post(chunked, body=f"10000000000000000{size:x}\r\n{HIDDEN}\r\n{end}"),
    "chunk ends with LF": post(chunked, body=f"1\nx\n{end}{HIDDEN}"),
    "chunk extension ends with LF": post(chunked, body=f"1;x\nx\r\n{end}{HIDDEN}"),
    "chunk longer than it says": post(chunked, body=f"1\r\nxy\r\n{end}{HIDDEN}"),
    "chunk extension too long": post(chunked, body=f"1;{'x' * 70000}\r\nx\r\n{end}"),
    "trailer too long": post(chunked, body="0\r\n" + "".join(f"x{n}: {'y' * 1000}\r\n" for n in range(100)) + "\r\n"),
    "trailer names a length": post(chunked, body=f"0\r\nContent-Length: 5\r\nHost: beta.agents.test\r\nX Y: 1\r\n\r\n{HIDDEN}"),
    "Upgrade to h2c": post("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__", "Content-Length: 0"),
    "two names for one upgrade": post("Connection: Upgrade", "Upgrade: h2c, websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", line="GET /echo HTTP/1.1"),
}
# What may be answered instead of 400, and attacks whose outer request is fine as long as nothing hidden passes.
OTHERWISE = {"TRACE": {400, 405, 501}, "CONNECT": {400, 404, 405, 421, 501}, "Upgrade to h2c": {200, 400, 426, 501}, "HTTP/1.2": {400, 505}, "HTTP/2.0 in words": {400, 505}, "Content_Length": {200, 400},
             "HTTP/0.9": {400, 505}, "trailer names a length": {200, 400}, "chunk extension too long": {400, 413, 431}, "trailer too long": {400, 413, 431}, "two names for one upgrade": {200, 400, 426},
             "TE gzip, chunked": {400, 501}, "TE xchunked": {400, 501}, "TE identity, chunked": {400, 501}, "Content-Length too large": {400, 413}, "absolute form, another": {400, 421},
             "absolute form, another scheme": {400, 421}, "Host empty": {400, 421}, "Host with a user": {400, 421}, "Host with a path": {400, 421}, "Host as a list": {400, 421}, "no path": {400},
             "Host twice": {400, 421}}


def count():
    request = f"GET /smuggled-count HTTP/1.1\r\nHost: {NAME}\r\n{AUTH}\r\nConnection: close\r\n\r\n"
    return json.loads(exchange(NAME, request.encode()).split(b"\r\n\r\n", 1)[1])


before = count()
if statuses(exchange(NAME, HIDDEN.encode())) != [200] or count() != before + 1:
    sys.exit("the positive control: a plain request for what is hidden does not arrive")
if statuses(exchange(NAME, post(chunked, body="1;a=b\r\nx\r\n0\r\n\r\n").encode())) != [200]:
    sys.exit("the positive control: a good chunked request is refused")
if statuses(exchange(NAME, post("Content-Length: 0", line=f"POST https://{NAME}/echo HTTP/1.1").encode())) != [200]:
    print("note: the absolute form of a request's own address is refused")
before, bad = count(), 0
for name, request in ATTACKS.items():
    got = statuses(exchange(NAME, request.encode("latin1")))
    allowed = OTHERWISE.get(name, {400})
    now = count()
    if now != before or not set(got) <= allowed or (len(got) > 1 and got[0] >= 400):
        print(f"{name}: {got}, {now - before} arrived that were hidden")
        before, bad = now, bad + 1
# After a refusal nothing more is read from the connection.
link = connect(NAME)
link.sendall((post("X: y", " folded") + HIDDEN).encode())
rest = b""
try:
    while more := link.recv(65536):
        rest += more
except OSError:
    pass
if statuses(rest) != [400] or count() != before:
    print(f"a connection goes on after a 400: {statuses(rest)}")
    bad += 1
print(f"{len(ATTACKS) + 1} tried, {bad} not held")
sys.exit(bool(bad))
