"""Print what a tenant reaches of the world and what it does not: proof_egress.py TENANT, as root, on a host where it runs.

Gives the tenant a way out that asks, and a model behind it: a server on this host that stands for a provider. From the tenant's cell it then
calls the model, with a key that the cell does not have, and tries every other way out. Exits 1 if one of them ends otherwise than it should.
"""

import json
import secrets
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Names that nobody has (RFC 2606) and addresses that nobody has (RFC 5737, RFC 3849).
UNLISTED, SOMEWHERE, SOMEWHERE_6 = "upload.example.net", "198.51.100.7", "2001:db8::7"
MODEL_PORT = 8422
KEY = f"sk-proof-{secrets.token_hex(16)}"

# In the cell: one attempt by its name, one line of what came of it.
INSIDE = r"""
import os, socket, sys, urllib.error, urllib.request

def answer(request, proxy=None):
    handlers = [urllib.request.ProxyHandler({"http": proxy, "https": proxy} if proxy else {})]
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=30) as reply:
            return f"{reply.status} {reply.read(4096).decode()}"
    except urllib.error.HTTPError as error:
        return str(error.code)

def model(_):
    body = b'{"model": "parrot", "messages": [{"role": "user", "content": "hello"}]}'
    return answer(urllib.request.Request("http://inference.internal/v1/chat/completions", body, {"Content-Type": "application/json"}))

def connect(where):
    with socket.create_connection(("127.0.0.1", 3128), timeout=30) as link:
        link.sendall(f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n\r\n".encode())
        return link.recv(4096).split(b" ", 2)[1].decode()

def direct(where):
    host, port = where.rsplit(" ", 1)
    with socket.create_connection((host, int(port)), timeout=10) as link:
        link.sendall(b"GET / HTTP/1.1\r\nHost: anything\r\n\r\n")
        return link.recv(4096).decode(errors="replace") or "closed"

def packet(where):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(3)
        link.connect((where, 443))
        link.send(b"out")
        return link.recv(512).decode(errors="replace")

def key(value):
    value = bytes.fromhex(value)
    with open("/proc/self/environ", "rb") as stream:
        if value in stream.read():
            return "environ"
    for top in ("/var/lib/tenants", "/run", "/tmp", "/etc"):
        for folder, _, files in os.walk(top):
            for file in files:
                try:
                    with open(os.path.join(folder, file), "rb") as stream:
                        if value in stream.read(1 << 20):
                            return os.path.join(folder, file)
                except OSError:
                    continue
    return "nowhere"

try:
    print(globals()[sys.argv[1]](*sys.argv[2:]))
except OSError as error:
    print(f"error: {error}")
"""


class Provider(BaseHTTPRequestHandler):
    """Answers who has the key, as an OpenAI-shaped server does."""

    seen = []

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        good = self.headers.get("Authorization") == f"Bearer {KEY}"
        Provider.seen.append(good)
        answer = {"id": "1", "object": "chat.completion", "model": "parrot", "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
                  "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "PONG"}}]}
        body = json.dumps(answer if good else {"error": {"message": "wrong key"}}).encode()
        self.send_response(200 if good else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def tenantctl(*words, given=None):
    answer = subprocess.run(["tenantctl", *words], input=given or "", capture_output=True, text=True, check=False)
    if answer.returncode:
        sys.exit(f"tenantctl {' '.join(words)}: {answer.stderr.strip()}")
    return answer.stdout


def inside(tenant, *words):
    answer = subprocess.run(["tenantctl", "exec", tenant, "--", "python3", "-c", INSIDE, *words], stdin=subprocess.DEVNULL,
                            capture_output=True, text=True, check=False)
    return answer.stdout.strip() or f"error: {answer.stderr.strip()}"


def asked(tenant, host, seconds=20):
    """The question about a host, as the operator sees it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for question in json.loads(tenantctl("approvals", "list", "--json")):
            if question["tenant"] == tenant and question["destination"]["host"] == host and question["state"] == "waiting":
                return question
        time.sleep(0.2)
    sys.exit(f"nothing was asked about {host} within {seconds} s")


def held_and_denied(tenant):
    """What a program that reaches for an unlisted host gets, and what the operator is shown meanwhile."""
    came = []
    attempt = threading.Thread(target=lambda: came.append(inside(tenant, "connect", f"{UNLISTED}:443")))
    attempt.start()
    question = asked(tenant, UNLISTED)
    tenantctl("approvals", "deny", f"{question['number']}-{question['digest']}", "--once", "--because", "a proof")
    attempt.join()
    return question, came[0]


def main(tenant):
    server = ThreadingHTTPServer(("127.0.0.1", MODEL_PORT), Provider)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    tenantctl("egress", "set", tenant, "--profile", "team", "--default", "ask", "--yes")
    tenantctl("secret", "set", tenant, "proof-key", given=KEY)
    tenantctl("inference", "add", tenant, "--provider", "proof", "--api", "openai", "--url", f"http://127.0.0.1:{MODEL_PORT}",
              "--secret", "proof-key", "--model", "parrot", "--yes")
    tenantctl("restart", tenant)
    rows = [("a model, by a key that the cell does not have", inside(tenant, "model", ""), lambda said: said.startswith("200") and "PONG" in said),
            ("that key, in the cell's files and variables", inside(tenant, "key", KEY.encode().hex()), lambda said: said == "nowhere")]
    question, said = held_and_denied(tenant)
    rows += [(f"{UNLISTED}, held and denied", said, lambda said: said == "403")]
    refused = lambda said: not said.startswith("200") and "HTTP/1.1 200" not in said and "Traceback" not in said
    for what, *words in (
        ("a proxied connection to an address", "connect", f"{SOMEWHERE}:443"),
        ("the same, to the metadata address", "connect", "169.254.169.254:80"),
        ("the same, to this host", "connect", f"127.0.0.1:{MODEL_PORT}"),
        ("a direct connection to an address", "direct", f"{SOMEWHERE} 443"),
        ("the same, by IPv6", "direct", f"{SOMEWHERE_6} 443"),
        ("a packet (UDP, QUIC's port)", "packet", SOMEWHERE),
    ):
        rows.append((what, inside(tenant, *words), refused))
    print(f"\nWhat {tenant} reaches")
    print(f"  asked the operator: {question['destination']['host']}:{question['destination']['port']}, by {question['destination']['binary'] or 'a program that is not known'}")
    held = Provider.seen == [True]
    for what, said, fine in rows:
        as_it_should = fine(said)
        held = held and as_it_should
        print(f"  {what:48} {said.splitlines()[0][:60]}{'' if as_it_should else '  WRONG'}")
    sys.exit(0 if held else 1)


main(*sys.argv[1:])
