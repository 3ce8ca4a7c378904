"""What the benchmarks share: times in milliseconds, the first answer of a gateway, tables for docs/specification.md. A step that did
not work ends a benchmark with status 1; a broken promise is only printed."""
import concurrent.futures, ctypes, os, pathlib, platform, socket, statistics, subprocess, sys, threading, time

PORT = 18789
GATEWAY = "/usr/local/lib/standin/bin/standin-gateway"


class Failed(Exception):
    """What was measured did not work."""


def progress(text):
    print(f"    {text}", file=sys.stderr, flush=True)


def run(*command, text=None):
    """Runs a command to its end; returns what it printed."""
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"{' '.join(command)[:200]}: status {done.returncode}: {(done.stderr or done.stdout).strip()[-600:]}")
    return done.stdout


def timed(*command):
    """Milliseconds of a command that must succeed."""
    begun = time.monotonic()
    child = os.posix_spawnp(command[0], command, os.environ)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    took = (time.monotonic() - begun) * 1e3
    if status:
        raise Failed(f"{' '.join(command)[:200]}: status {status}")
    return took


def eventually(seconds, what, condition):
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise Failed(f"after {seconds} s still not: {what}")
        time.sleep(0.02)


def answer(address, port, path, patience):
    """The body of an answer with status 200, or nothing."""
    with socket.socket() as link:
        link.settimeout(patience)
        try:
            link.connect((address, port))
            link.settimeout(2)
            link.sendall(f"GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
            text = b"".join(iter(lambda: link.recv(65536), b"")).decode(errors="replace")
        except OSError:
            return None
    head, _, body = text.partition("\r\n\r\n")
    return body if head[9:12] == "200" else None


def first_answer(address, port=PORT, path="/healthz", contains="", within=30, pause=0.0005, dead=lambda: False):
    """When (CLOCK_MONOTONIC) a gateway first answered. A connection is given up after 5 ms, so that a packet lost before the link was
    up costs no second; the whole, when the gateway is dead."""
    until = time.monotonic() + within
    while time.monotonic() < until and not dead():
        body = answer(address, port, path, 0.005)
        if body is not None and contains in body:
            return time.monotonic()
        time.sleep(pause)
    raise Failed(f"no answer from http://{address}:{port}{path}: " + ("the gateway has died" if dead() else f"waited for {within} s"))


def inside(tenant, act):
    """Does something in a tenant's network namespace, as soon as there is one; returns its result or raises what it raised."""
    libc, outcome = ctypes.CDLL(None), concurrent.futures.Future()

    def enter():
        try:
            with open(f"/run/netns/t-{tenant}") as namespace:
                return libc.setns(namespace.fileno(), 0x40000000) == 0  # CLONE_NEWNET; of this thread
        except FileNotFoundError:
            return False

    def body():
        try:
            eventually(30, f"a namespace of {tenant}", enter)
            outcome.set_result(act())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=body).start()
    return outcome.result()


def tenant_address(tenant):
    lines = pathlib.Path(f"/var/lib/tenantd/compiled/{tenant}/network.json").read_text().split('"tenant_address"')
    return lines[1].split('"')[1]


def settled(tenant):
    """A tenant has stopped, and nothing of its network is left to clean up that could disturb the next start."""
    run("systemctl", "stop", f"tenant@{tenant}")
    # So that the limit on starts does not count these; fails where systemd has forgotten the unit, and its starts with it.
    subprocess.run(["systemctl", "reset-failed", f"tenant@{tenant}"], capture_output=True)
    idle = ("inactive", "failed")
    units = (f"tenant-net@{tenant}.service", "tenantd-sweep.service")
    show = lambda unit: subprocess.run(["systemctl", "is-active", unit], capture_output=True, text=True).stdout.strip()
    eventually(30, f"the network of {tenant} swept", lambda: all(show(unit) in idle for unit in units))


def brief(values, unit="ms", digits=1):
    return f"{statistics.median(values):.{digits}f} {unit} (least {min(values):.{digits}f}, n {len(values)})"


def table(title, rows, unit="ms", digits=1):
    """Medians and least values of several series."""
    print(f"\n| {title} | median | least | most | n |\n|---|---|---|---|---|")
    for what, values in rows.items():
        middle, least, most = (f"{value:.{digits}f} {unit}" for value in (statistics.median(values), min(values), max(values)))
        print(f"| {what} | {middle} | {least} | {most} | {len(values)} |")
    sys.stdout.flush()


def promises(bench, rows):
    """Rows of docs/specification.md: sentence, value, bound, what was measured."""
    print("\n| promise | shown by | measured |\n|---|---|---|")
    for sentence, value, bound, measured in rows:
        print(f"| {sentence} | `bench {bench}` | {measured}{'' if value <= bound else ' – **not held**'} |")
    sys.stdout.flush()


def machine():
    """The line on the machine; load average and commit are said by the rig, which looked before it booted this host."""
    processor = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    memory = int(open("/proc/meminfo").readline().split()[1]) / 2**20
    systemd = run("systemctl", "--version").split()[1]
    release = platform.freedesktop_os_release()["PRETTY_NAME"]
    kind = run("systemd-detect-virt").strip()
    said = lambda name: os.environ.get(f"BENCH_{name}", "unknown")
    return (f"{processor}, {os.cpu_count()} cores, {memory:.0f} GiB, kernel {os.uname().release}, systemd {systemd}, {kind} host with {release}, "
            f"{time.strftime('%Y-%m-%d')}, commit {said('COMMIT')}, load before {said('LOAD')}")


def bench(main):
    """Runs a benchmark; its failure is one line and status 1."""
    print(f"machine: {machine()}", flush=True)
    try:
        main()
    except Failed as failure:
        sys.exit(f"error: {failure}")
