#!/usr/bin/python3
"""Times a start of the stand-in gateway up to its first HTTP answer, in turn: as a tenant, bare as a process, bare as a unit, and by
rootful podman (crun, its bridge network). Between rounds the tenant's network is swept away; each round is a cold one."""
import pathlib, statistics, subprocess, sys, time

import podman
from measure import GATEWAY, PORT, Failed, bench, brief, first_answer, progress, promises, run, settled, table, tenant_address

TENANT = "alpha"
BARE_PORT = 18790
PLAIN = pathlib.Path("/run/systemd/system/bench-plain.service")


def until_answer(command, address, port):
    """Milliseconds from the start of a client that starts a gateway, to the first answer, and to the client's own end."""
    begun = time.monotonic()
    client = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        answered = first_answer(address, port)
    finally:
        said = client.communicate()[1]
        ended = time.monotonic()
    if client.returncode:
        raise Failed(f"{' '.join(command)}: status {client.returncode}: {said.strip()}")
    return begun, answered, ended


def as_process(seen):
    begun = time.monotonic()
    gateway = subprocess.Popen([GATEWAY, "--port", str(BARE_PORT)], stderr=subprocess.DEVNULL)
    try:
        seen["bare, as a process"].append((first_answer("127.0.0.1", BARE_PORT) - begun) * 1e3)
    finally:
        gateway.terminate()
        gateway.wait()


def as_unit(seen):
    begun, answered, _ = until_answer(["systemctl", "start", PLAIN.name], "127.0.0.1", BARE_PORT)
    run("systemctl", "stop", PLAIN.name)
    seen["bare, as a plain unit"].append((answered - begun) * 1e3)


def as_tenant(seen, stages):
    unit, net = f"tenant@{TENANT}.service", f"tenant-net@{TENANT}.service"
    begun, answered, ended = until_answer(["systemctl", "start", unit], tenant_address(TENANT), PORT)
    moment = lambda of, what: int(run("systemctl", "show", "-P", f"{what}TimestampMonotonic", of)) / 1e6
    points = [begun, moment(net, "InactiveExit"), moment(net, "ActiveEnter"), moment(unit, "ExecMainStart"), answered, ended]
    settled(TENANT)
    seen["as a tenant"].append((answered - begun) * 1e3)
    for stage, (earlier, later) in zip(stages, zip(points, points[1:])):
        stages[stage].append((later - earlier) * 1e3)


def by_podman(seen, what, *options):
    """Asked from the end of `podman run -d` on, when it answers at once. To ask earlier makes the container resolve our address before
    its link carries anything, and one start in four waits a second for the second try."""
    command, address = podman.run_command(*options)
    begun = time.monotonic()
    run(*command)
    seen[what].append((first_answer(address) - begun) * 1e3)
    podman.remove()


def rounds(count):
    seen = {what: [] for what in ("as a tenant", "bare, as a process", "bare, as a plain unit", "podman run", "podman run --cgroups=disabled")}
    stages = {what: [] for what in ("systemctl, job, tenant-net@ begins", "tenant-net@", "tenant@ forks", "sandbox, tenant-exec, gateway, first answer",
                                    "first answer to the end of systemctl start (tenant-ready)")}
    settled(TENANT)
    for number in range(count + 1):
        as_tenant(seen, stages)
        as_process(seen)
        as_unit(seen)
        by_podman(seen, "podman run")
        by_podman(seen, "podman run --cgroups=disabled", "--cgroups=disabled")
        if number == 0:  # caches are cold, once
            for values in (*seen.values(), *stages.values()):
                values.clear()
        progress(f"round {number} of {count}" + (f": tenant {seen['as a tenant'][-1]:.0f} ms, podman {seen['podman run'][-1]:.0f} ms" if number else ""))
    return seen, stages


def report(seen, stages):
    table("start to first answer", seen)
    table("where a tenant's start goes", stages)
    middle = {what: statistics.median(values) for what, values in seen.items()}
    least = {what: min(values) for what, values in seen.items()}
    added = {what: middle["as a tenant"] - middle[what] for what in ("bare, as a process", "bare, as a plain unit")}
    ratio = middle["as a tenant"] / middle["podman run"]
    promises("start", [
        ("confinement adds at most 60 ms to a start (from `systemctl start` to the first answer, minus the same program bare)",
         added["bare, as a process"], 60,
         f"{added['bare, as a process']:.1f} ms over a process (least {least['as a tenant'] - least['bare, as a process']:.1f}), "
         f"{added['bare, as a plain unit']:.1f} ms over a plain unit (least {least['as a tenant'] - least['bare, as a plain unit']:.1f}); "
         f"tenant {brief(seen['as a tenant'])}"),
        ("at most 0.7 × rootful `podman run` of the same program on a bridge", ratio, 0.7,
         f"{ratio:.2f} × (least {least['as a tenant'] / least['podman run']:.2f}); podman {brief(seen['podman run'])}; "
         f"without a cgroup of its own {brief(seen['podman run --cgroups=disabled'])}"),
    ])


def main():
    print(f"peer: {podman.prepare()}", flush=True)
    PLAIN.write_text(f"[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart={GATEWAY} --port {BARE_PORT}\n")
    run("systemctl", "daemon-reload")
    try:
        report(*rounds(int(sys.argv[1])))
    finally:
        podman.end()
        PLAIN.unlink()
        run("systemctl", "daemon-reload")
        run("systemctl", "start", f"tenant@{TENANT}")


bench(main)
