"""Print how the edge lets people in and keeps others out: proof_edge.py TENANT OTHER, as root, on a host where both run.

Enables the edge under a domain that nobody has (RFC 2606), if it is off, and tries it for real: with a token that may, which must get in,
and with five that may not. Exits 1 if one of them ends otherwise than it should.
"""

import json
import socket
import ssl
import subprocess
import sys
import time

DOMAIN = "agents.example.org"
CERTIFICATE = "/var/lib/tenantd/edge/tls/cert.pem"


def tenantctl(*arguments, fine=(0,)):
    answer = subprocess.run(["tenantctl", *arguments, "--json"], stdin=subprocess.DEVNULL, capture_output=True,
                            text=True, check=False)
    if answer.returncode not in fine:
        sys.exit(f"tenantctl {' '.join(arguments)}: {answer.stderr.strip()}")
    return json.loads(answer.stdout)


def domain():
    """The edge's domain; enables the edge if it has none."""
    # Its exit status says whether the edge is on; the document is there either way.
    state = tenantctl("edge", "status", fine=range(256))
    if not state.get("enabled"):
        tenantctl("edge", "enable", "--domain", DOMAIN)
        state = tenantctl("edge", "status")
    return state["domain"]


def token(tenant, role, ttl="10m"):
    return tenantctl("token", "issue", tenant, "--role", role, "--subject", "proof", "--ttl", ttl)["token"]


def ask(name, bearer, method="GET", path="/", host=None):
    """The status of one request to https://NAME/, whose Host header may lie."""
    trust = ssl.create_default_context(cafile=CERTIFICATE)
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host or name}", f"Authorization: Bearer {bearer}", "Connection: close"]
    if method != "GET":
        lines.append("Content-Length: 0")
    with socket.create_connection(("127.0.0.1", 443), timeout=30) as plain:
        with trust.wrap_socket(plain, server_hostname=name) as tls:
            tls.sendall("\r\n".join([*lines, "", ""]).encode())
            head = b""
            while b"\r\n" not in head:
                more = tls.recv(4096)
                if not more:
                    return 0
                head += more
    return int(head.split(b" ", 2)[1])


def main(tenant, other):
    zone = domain()
    name, foreign = f"{tenant}.{zone}", f"{other}.{zone}"
    operator, viewer = token(tenant, "operator"), token(tenant, "viewer")
    expired = token(tenant, "operator", "1s")
    dead = tenantctl("token", "issue", tenant, "--role", "operator", "--subject", "revoked", "--ttl", "10m")
    tenantctl("token", "revoke", "--jti", dead["jti"])
    time.sleep(2.5)
    rows = [
        ("an operator's request, for comparison", ask(name, operator), {200}),
        ("a viewer looks", ask(name, viewer), {200}),
        ("a viewer writes", ask(name, viewer, "POST"), {403}),
        ("a token that has expired", ask(name, expired), {401}),
        ("a token that was revoked two seconds ago", ask(name, dead["token"]), {401}),
        (f"{other}'s door with {tenant}'s token", ask(foreign, operator), {401, 403}),
        (f"a Host that says {other}, through {tenant}'s name", ask(name, operator, host=foreign), {421}),
        ("no token that anybody signed", ask(name, "e30.e30.e30"), {401}),
    ]
    print(f"\nThe edge, https://{name}/")
    held = True
    for what, status, wanted in rows:
        as_it_should = status in wanted
        held = held and as_it_should
        answer = "let in" if status == 200 else f"refused with {status}"
        print(f"  {what:48} {answer}{'' if as_it_should else '  WRONG'}")
    print(f"\nSign in with a browser, once and within five minutes:\n  {tenantctl('login', tenant)['url']}")
    sys.exit(0 if held else 1)


main(*sys.argv[1:])
