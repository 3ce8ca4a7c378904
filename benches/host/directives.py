#!/usr/bin/python3
"""Starts copies of tenant@.service, each without one directive, interleaved, and prints what the start took: CPU time of the unit
up to its program (the sandbox is set up in the unit's cgroup), and wall time of "systemctl start". Needs the tenant alpha, running."""
import pathlib, re, statistics, subprocess, sys, time

UNITS = pathlib.Path("/run/systemd/system")
# Lines that only make sense together.
TOGETHER = {"SystemCallErrorNumber": "SystemCallFilter", "BindPaths": "(binds)", "BindReadOnlyPaths": "(binds)", "MountAPIVFS": "RootDirectory"}
# Without these it would not start, or they cost nothing by construction.
KEPT = {"User", "Group", "Slice", "(binds)", "RootDirectory", "TasksMax", "UMask"}
SECCOMP = {"RestrictNamespaces", "RestrictRealtime", "LockPersonality", "SystemCallArchitectures", "SystemCallFilter", "RestrictAddressFamilies"}
KERNEL = {"ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs", "ProtectControlGroups", "ProtectClock", "ProtectHostname"}


def name_of(line):
    name = line.split("=")[0]
    return TOGETHER.get(name, name)


def variants():
    text = pathlib.Path("/usr/lib/systemd/system/tenant@.service").read_text()
    cell = [line for line in text[text.index("# --- cell"):text.index("# --- end of cell")].splitlines() if re.match("[A-Z]", line)]
    without = lambda names: [line for line in cell if name_of(line) not in names]
    found = {"all": cell, "none but User=": ["User=t-%i"]}
    for name in dict.fromkeys(map(name_of, cell)):
        if name not in KEPT:
            found[f"without {name}="] = without({name})
    found["without the six on system calls"] = without(SECCOMP)
    found["without the six on the kernel"] = without(KERNEL)
    found["without both"] = without(SECCOMP | KERNEL)
    found["with IPAddressDeny="] = cell + ["IPAddressDeny=any", "IPAddressAllow=localhost 10.210.0.0/16"]
    found["with RestrictSUIDSGID="] = cell + ["RestrictSUIDSGID=yes"]
    return found


def systemctl(*words):
    return subprocess.run(["systemctl", *words], capture_output=True, text=True)


def start(unit):
    begun = time.monotonic()
    failed = systemctl("start", unit).returncode
    wall = (time.monotonic() - begun) * 1e3
    cpu = systemctl("show", "--property=CPUUsageNSec", "--value", unit).stdout.strip()
    systemctl("stop", unit)
    return None if failed or not cpu.isdigit() else (int(cpu) / 1e6, wall)


def main():
    units = {}
    for number, (what, lines) in enumerate(variants().items()):
        units[what] = f"cost{number}@alpha.service"
        body = ["[Unit]", "StartLimitIntervalSec=0", "[Service]", "Type=exec", "ExecStart=/usr/bin/sleep 1000", *lines, ""]
        (UNITS / f"cost{number}@.service").write_text("\n".join(body))
    systemctl("daemon-reload")
    seen = {what: [] for what in units}
    try:
        for _ in range(int(sys.argv[1])):
            for what, unit in units.items():
                seen[what].append(start(unit))
    finally:
        for path in UNITS.glob("cost*@.service"):
            path.unlink()
        systemctl("daemon-reload")
    base = statistics.median(cpu for cpu, _ in filter(None, seen["all"]))
    for what, all_runs in seen.items():
        runs = list(filter(None, all_runs))
        if not runs:
            print(f"{what:36} did not start")
            continue
        cpu = statistics.median(cpu for cpu, _ in runs)
        wall = sorted(wall for _, wall in runs)
        print(f"{what:36} CPU {cpu:6.1f} ms ({cpu - base:+5.1f})   wall {statistics.median(wall):6.1f} ms (least {wall[0]:5.1f})   n {len(runs)}")


main()
