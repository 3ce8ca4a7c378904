#!/usr/bin/python3
"""A thousand tenants made one after the other up to the fence, their gateways not started; listed; deleted. Then many gateways
started together, and everything deleted. Fails if a gateway is not ready or if anything is left behind."""
import json, pathlib, statistics, subprocess, sys, time

from left import difference, left
from measure import GATEWAY, PORT, Failed, answer, bench, brief, eventually, progress, promises, run, table, tenant_address, timed

# Holds a tenant's network up without its gateway, as a starting tenant@ does.
HOLD = pathlib.Path("/run/systemd/system/bench-hold@.service")
EDGE = 20


def create(name):
    command = ("tenantctl", "create", name, "--no-start", "--runtime", "generic", "--port", str(PORT), "--command", f"{GATEWAY} --port {PORT}")
    begun = time.monotonic()
    run(*command)
    return (time.monotonic() - begun) * 1e3


def delete(name):
    begun = time.monotonic()
    run("tenantctl", "delete", name, "--yes")
    return (time.monotonic() - begun) * 1e3


def each(what, names, act):
    """The act's milliseconds for every name."""
    took = []
    for number, name in enumerate(names, 1):
        took.append(act(name))
        if number % 100 == 0 or number == len(names):
            progress(f"{what}: {number} of {len(names)}, the last {EDGE} {statistics.median(took[-EDGE:]):.0f} ms each")
    return took


def swept():
    unit = subprocess.run(["systemctl", "is-active", "tenantd-sweep.service"], capture_output=True, text=True).stdout.strip()
    links = run("ip", "-br", "link", "show", "type", "bridge").split()
    return unit in ("inactive", "failed") and sum(name.startswith("tb") for name in links) <= 2


def memory():
    """Memory of tenantd in MiB: resident, its proportional share, and the most it ever held."""
    process = pathlib.Path("/proc") / run("systemctl", "show", "-P", "MainPID", "tenantd").strip()
    value = lambda file, key: next(int(line.split()[1]) / 1024 for line in (process / file).read_text().splitlines() if line.startswith(key + ":"))
    return value("smaps_rollup", "Rss"), value("smaps_rollup", "Pss"), value("status", "VmHWM")


def listed(names, *options):
    took = [timed_list(options) for _ in range(10)]
    seen = {tenant["id"] for tenant in json.loads(run("tenantctl", "list", "--json"))}
    if not seen.issuperset(names):
        raise Failed(f"tenantctl list leaves out {len(set(names) - seen)} of {len(names)} tenants")
    return took


def timed_list(options):
    begun = time.monotonic()
    run("tenantctl", "list", *options)
    return (time.monotonic() - begun) * 1e3


def many_made(names):
    alone = memory()
    made, fenced = [], []

    def make(name):
        made.append(create(name))
        fenced.append(timed("systemctl", "start", f"bench-hold@{name}"))
        return made[-1] + fenced[-1]

    both = each("made and fenced", names, make)
    spaces = len(list(pathlib.Path("/run/netns").glob("t-many*")))
    if spaces != len(names):
        raise Failed(f"{spaces} of {len(names)} tenants have a namespace")
    table_, as_json = listed(names), listed(names, "--json")
    held = memory()
    progress("taking the networks down")
    begun = time.monotonic()
    run("systemctl", "stop", "bench-hold@*")
    eventually(300, "the networks swept", swept)
    down = (time.monotonic() - begun) * 1e3 / len(names)
    gone = each("deleted", names, delete)
    count = f"{len(names):,}"
    table(f"{count} tenants", {
        f"tenantctl create --no-start, first {EDGE}": made[:EDGE], f"tenantctl create --no-start, last {EDGE}": made[-EDGE:],
        f"network up by systemd, first {EDGE}": fenced[:EDGE], f"network up by systemd, last {EDGE}": fenced[-EDGE:],
        "tenantctl list": table_, "tenantctl list --json": as_json, "all networks down and swept, each": [down],
        f"tenantctl delete, first {EDGE}": gone[:EDGE], f"tenantctl delete, last {EDGE}": gone[-EDGE:]})
    table("memory of tenantd", {"with alpha and beta": [alone[0]], f"with {count} more": [held[0]], "its proportional share": [held[1]],
                                "the most it held": [held[2]]}, "MiB")
    first, last = both[:EDGE], both[-EDGE:]
    ratio = statistics.median(last) / statistics.median(first)
    slowest = max(statistics.median(table_), statistics.median(as_json))
    return [("the 1,000th tenant costs at most 1.2 × the first (create to fenced, gateway not started)", ratio, 1.2,
             f"{ratio:.2f} × (least {min(last) / min(first):.2f}): {brief(last)} against {brief(first)}; delete {statistics.median(gone[-EDGE:]):.1f} "
             f"against {statistics.median(gone[:EDGE]):.1f} ms with {count}"),
            ("`tenantctl list` of 1,000 tenants in at most 0.3 s", slowest, 300, f"{brief(table_, digits=0)}; `--json` {brief(as_json, digits=0)}"),
            ("tenantd holds at most 40 MiB with 1,000 tenants", held[0], 40, f"{held[0]:.1f} MiB resident ({held[1]:.1f} proportional; {alone[0]:.1f} before, {held[2]:.1f} at most)")]


def many_running(names):
    made = each("made", names, create)
    addresses = {name: tenant_address(name) for name in names}
    progress(f"starting {len(names)} gateways together")
    begun = time.monotonic()
    run("systemctl", "start", *(f"tenant@{name}" for name in names))
    took = time.monotonic() - begun
    silent = [name for name, address in addresses.items() if answer(address, PORT, "/healthz", 2) is None]
    if silent:
        raise Failed(f"{len(silent)} of {len(names)} gateways do not answer, {silent[0]} among them")
    progress(f"all answer after {took:.1f} s")
    running = each("deleted while running", names, delete)
    table(f"{len(names)} gateways", {"tenantctl create --no-start": made, "started together, each": [took * 1e3 / len(names)],
                                     "tenantctl delete of a running one": running})
    return took


def behind(when, before):
    """What is there and was not before, after the sweep and systemd have had time to clean up."""
    until = time.monotonic() + 30
    while (extra := difference(before, left())) and time.monotonic() < until:
        time.sleep(1)
    for line in extra[:5] + (["…"] if len(extra) > 5 else []):
        progress(f"left behind by tenants that {when}: {line}")
    return [f"{len(extra)} things by tenants that {when}, {extra[0]} among them"] if extra else []


def main():
    count, running = map(int, sys.argv[1:])
    HOLD.write_text("[Unit]\nRequires=tenant-net@%i.service\nAfter=tenant-net@%i.service\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n")
    run("systemctl", "daemon-reload")
    # One life, so that what the first tenant of a host makes for good is there before.
    create("manyzero")
    run("systemctl", "start", "tenant@manyzero", "bench-hold@manyzero")
    run("systemctl", "stop", "tenant@manyzero", "bench-hold@manyzero")
    delete("manyzero")
    eventually(60, "the first network swept", swept)
    before = left()
    promises("many", many_made([f"many{n}" for n in range(count)]))
    extra = behind("were never started", before)
    before = left()
    took = many_running([f"many{n}" for n in range(running)])
    extra += behind("ran", before)
    promises("many", [("200 stand-in tenants started together are all ready, and nothing is left after delete of all", len(extra), 0,
                       f"{running} ready in {took:.1f} s ({took * 1e3 / running:.0f} ms each); left: {'; '.join(extra) or 'nothing'} (compared: {', '.join(before)})")])
    if extra:
        raise Failed(f"left behind: {'; '.join(extra)}")


bench(main)
