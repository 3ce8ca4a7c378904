"""Print what holds two tenants apart: proof.py TENANT OTHER, on a host where both run.

First what tenantctl measured on the running gateways, then live attempts by TENANT's cell against OTHER and the host,
each made with escape-probe if it is beside this file. Exits 1 if a gateway is not healthy, or an attempt was not blocked
or could not be made.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HERE = os.path.dirname(os.path.abspath(__file__))
PROBE = "/usr/local/bin/escape-probe"
HOST_PORT = 8421


def run(*command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def status(tenant):
    # Its exit status says whether the tenant runs and answers; the document is there either way.
    answer = run("tenantctl", "status", tenant, "--json")
    try:
        return json.loads(answer.stdout)
    except ValueError:
        sys.exit(f"tenantctl status {tenant}: {answer.stderr.strip() or answer.returncode}")


def exposure(unit):
    """The score of systemd-analyze security, 0 (tight) to 10."""
    for line in run("systemd-analyze", "security", "--no-pager", unit).stdout.splitlines():
        if "Overall exposure level" in line:
            return line.split(":")[1].split()[0]
    return "unknown"


def facts(tenant):
    """Pairs of what and value, as measured on the running process."""
    state = status(tenant)
    measured = state.get("measured") or {}
    landlock = measured.get("landlock", {})
    capabilities = measured.get("capabilities", {})
    empty = all(int(mask, 16) == 0 for mask in capabilities.values())
    health = state["health"] if isinstance(state["health"], str) else "; ".join(state["health"].values())
    return [
        ("unit", f"{state['unit']} in {state['slice']}"),
        ("runtime", f"{state['runtime']} {state['version']}"),
        ("user", f"{state['user']} (uid {measured.get('uid')}), groups {measured.get('groups')}"),
        ("namespace", f"{state['netns']}, {state['address']}"),
        ("Landlock", f"ABI {landlock.get('abi')}, seen to refuse at start: {word(landlock.get('proven_at_start'))}"),
        *[("", f"held elsewhere: {right}") for right in landlock.get("held_elsewhere", [])],
        ("seccomp", f"mode {measured.get('seccomp_mode')}, {measured.get('seccomp_filters')} filters, "
         f"no_new_privs: {word(measured.get('no_new_privs'))}"),
        ("capabilities", "all five sets empty" if capabilities and empty else str(capabilities)),
        ("exposure", f"{exposure(state['unit'])} (systemd-analyze security)"),
        ("runs without", ", ".join(state["missing"]) or "nothing that was asked for"),
        ("health", health),
    ]


def word(value):
    return "yes" if value else "no"


def attempts(own, other):
    """What is tried: a sentence, and the probe's act with its arguments."""
    pid, address, port = str(other["pid"]), other["address"].split("/")[0], str(other["port"])
    data = f"/var/lib/tenants/{other['user'].removeprefix('t-')}"
    return [
        (f"read {other['id']}'s data", "open", f"{data}/state"),
        (f"read {other['id']}'s sealed configuration", "open", f"/var/lib/tenantd/compiled/{other['user'].removeprefix('t-')}"),
        (f"see {other['id']}'s process", "proc-status", pid),
        (f"signal {other['id']}'s process", "signal", pid),
        (f"trace {other['id']}'s process", "ptrace", pid),
        (f"connect to {other['id']}'s gateway", "tcp", address, port),
        ("connect to a service of the host", "tcp", host_address(own), str(HOST_PORT)),
        ("reach the cloud's metadata address", "tcp", "169.254.169.254", "80"),
        ("learn the other tenants' names", "names-netns"),
        ("log in on the system bus", "dbus"),
        ("become root in a user namespace", "unshare-user-root"),
        ("mount something", "mount-bind", "/tmp"),
        ("open a packet socket", "socket-packet"),
        ("set up an io_uring", "io-uring"),
        ("make a setuid file", "suid-chmod", "/tmp"),
        ("load a kernel module", "init-module"),
    ]


def host_address(own):
    """The host's side of the tenant's link: the other address of its /30."""
    head, last = own["address"].split("/")[0].rsplit(".", 1)
    return f"{head}.{(int(last) & ~3) | (2 if int(last) % 4 == 1 else 1)}"


class Hello(BaseHTTPRequestHandler):
    """A service of the host that answers anyone who reaches it."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def host_service():
    server = ThreadingHTTPServer(("0.0.0.0", HOST_PORT), Hello)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield
    server.shutdown()


def layers():
    """Each act's layers, as the probe tells them."""
    lines = run(PROBE, "list", "--json").stdout.splitlines()
    return {act["act"]: act["layers"] for act in map(json.loads, lines)}


def attempt(tenant, act, *arguments):
    """What the probe saw in the tenant's cell: outcome, errno and detail."""
    answer = run("tenantctl", "exec", tenant, "--", PROBE, act, *arguments)
    try:
        return json.loads(answer.stdout)
    except ValueError:
        return {"outcome": "error", "errno": "none", "detail": (answer.stderr or answer.stdout).strip()}


def print_facts(tenant):
    print(f"\n{tenant}, measured on its running process")
    for what, value in facts(tenant):
        print(f"  {what:<13} {value}")


def print_attempts(tenant, neighbour):
    own, other, known = status(tenant), status(neighbour), layers()
    held = True
    print(f"\nAttempts from inside {tenant}'s cell")
    with host_service():
        for sentence, act, *arguments in attempts(own, other):
            seen = attempt(tenant, act, *arguments)
            if seen["outcome"] == "blocked":
                verdict = f"blocked by {', '.join(known.get(act, []))} ({seen['errno']})"
            else:
                held = False
                verdict = f"NOT BLOCKED: {seen['outcome']}, {seen['detail']}"
            print(f"  {sentence:<38} {verdict}", flush=True)
        control = attempt(tenant, "tcp", own["address"].split("/")[0], str(own["port"]))
        print(f"  {'its own gateway, for comparison':<38} {'reached' if control['outcome'] == 'succeeded' else control['detail']}")
    return held and control["outcome"] == "succeeded"


def main(tenant, neighbour):
    for name in (tenant, neighbour):
        print_facts(name)
    healthy = all(status(name)["health"] == "ready" for name in (tenant, neighbour))
    if not healthy:
        sys.exit("\na gateway is not healthy")
    if os.path.exists(f"{HERE}/escape-probe"):
        # Where every runtime's cell may run programs from.
        subprocess.run(["install", "-m", "0755", f"{HERE}/escape-probe", PROBE], check=True)
        if not print_attempts(tenant, neighbour):
            sys.exit("\nnot everything was blocked")


main(*sys.argv[1:])
