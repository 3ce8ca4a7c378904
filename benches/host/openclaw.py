#!/usr/bin/python3
"""Times real OpenClaw from its start to healthy (its start-up path says so), in turn in a cell and bare: the same node, options,
environment and configuration, as a plain user without any confinement. Both have a state that an earlier start made."""
import json, pathlib, pwd, shutil, statistics, subprocess, sys, time

from measure import Failed, bench, brief, eventually, first_answer, inside, progress, promises, run, settled, table

TENANT, USER = "acme", "bench-bare"
COMPILED = pathlib.Path(f"/var/lib/tenantd/compiled/{TENANT}")
PLACE = pathlib.Path("/srv/bench-bare")
ADDRESS = "10.99.99.2"
SLICE = f"tenants.slice/tenants-{TENANT}.slice"
CGROUPS = pathlib.Path("/sys/fs/cgroup")
MARK = '"ok":true'


def bare_gateway():
    """Arguments, environment and directory of the tenant's gateway, with the paths and the address of the bare one."""
    confinement = json.loads((COMPILED / "confinement.json").read_text())
    link = json.loads((COMPILED / "network.json").read_text())["link"]
    shutil.copytree(COMPILED / "config", PLACE / "config", dirs_exist_ok=True)
    names = {f"/var/lib/tenants/{TENANT}": str(PLACE), "/run/tenantd/secrets/.config": f"{PLACE}/config", "@gateway@": "00" * 16,
             "/run/tenantd/runtime": f"{PLACE}/runtime", link["tenant_address"]: ADDRESS}

    def renamed(text):
        for old, new in names.items():
            text = text.replace(old, new)
        if "/run/tenantd" in text:
            raise Failed(f"a path of the cell that the bare gateway has no counterpart for: {text[:200]}")
        return text

    for file in (PLACE / "config").iterdir():
        file.write_text(renamed(file.read_text()))
    return ([renamed(word) for word in confinement["argv"]], {name: renamed(value) for name, value in confinement["environment"].items()},
            renamed(confinement["directory"]))


def prepare():
    progress("making the tenant; the first start takes longest")
    run("tenantctl", "create", TENANT, "--runtime", "openclaw")
    run("useradd", "--system", "--no-create-home", USER)
    run("ip", "address", "add", f"{ADDRESS}/32", "dev", "lo")
    for name in ("home", "state", "workspace", "runtime"):
        (PLACE / name).mkdir(parents=True, exist_ok=True)
    # The very same files; where they are installed no plain user gets in.
    run("mount", "--bind", str((COMPILED / "runtime").resolve()), f"{PLACE}/runtime")
    gateway = bare_gateway()
    run("chown", "-R", f"{USER}:", str(PLACE / "config"), *(str(PLACE / name) for name in ("home", "state", "workspace")))
    return gateway


def healthy_at(port, dead):
    """When the gateway on the loopback address became healthy; from anywhere else it demands its proxy's headers."""
    return first_answer("127.0.0.1", port, "/startupz", MARK, within=600, pause=0.02, dead=dead)


def processor_time(cgroup):
    """Seconds that a cgroup has used; a slice keeps counting over the starts in it."""
    file = CGROUPS / cgroup / "cpu.stat"
    return int(file.read_text().split()[1]) / 1e6 if file.exists() else 0


def in_cell(port):
    """Milliseconds to healthy and until systemctl start came back, and processor seconds to healthy, the sandbox included."""
    before = processor_time(SLICE)
    begun = time.monotonic()
    client = subprocess.Popen(["systemctl", "start", f"tenant@{TENANT}"])
    healthy = inside(TENANT, lambda: healthy_at(port, lambda: client.poll() not in (None, 0)))
    used = processor_time(SLICE) - before
    if client.wait():
        raise Failed(f"tenant@{TENANT} did not start: see its journal")
    ended = time.monotonic()
    settled(TENANT)
    return (healthy - begun) * 1e3, (ended - begun) * 1e3, used


def bare(gateway, port):
    """Milliseconds and processor seconds to healthy."""
    argv, environment, directory = gateway
    user = pwd.getpwnam(USER)
    log = open("/run/bench-bare.log", "w")
    begun = time.monotonic()
    process = subprocess.Popen(argv, env=environment, cwd=directory, user=user.pw_uid, group=user.pw_gid, extra_groups=[], umask=0o077,
                               stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    (CGROUPS / USER).mkdir(exist_ok=True)
    (CGROUPS / USER / "cgroup.procs").write_text(str(process.pid))
    try:
        healthy = healthy_at(port, lambda: process.poll() is not None)
        used = processor_time(USER)
    except Failed as failure:
        raise Failed(f"{failure}; the bare gateway said: {pathlib.Path(log.name).read_text()[-800:]}") from failure
    finally:
        process.terminate()
        process.wait(timeout=60)
        log.close()
        eventually(10, "the bare gateway's helpers ended", lambda: not (CGROUPS / USER / "cgroup.procs").read_text())
        (CGROUPS / USER).rmdir()
    return (healthy - begun) * 1e3, used


def main():
    gateway = prepare()
    try:
        port = json.loads((COMPILED / "network.json").read_text())["gateway_port"]
        settled(TENANT)
        progress("the bare gateway's first start")
        bare(gateway, port)
        cells, plains = [], []
        for number in range(int(sys.argv[1])):
            cells.append(in_cell(port))
            plains.append(bare(gateway, port))
            progress(f"round {number + 1} of {sys.argv[1]}: cell {cells[-1][0]:.0f} ms, bare {plains[-1][0]:.0f} ms")
    finally:
        subprocess.run(["tenantctl", "delete", TENANT, "--yes"], capture_output=True)
        subprocess.run(["ip", "address", "del", f"{ADDRESS}/32", "dev", "lo"], capture_output=True)
        run("umount", f"{PLACE}/runtime")
        shutil.rmtree(PLACE)
        subprocess.run(["userdel", USER], capture_output=True)
    (cell, ready, cell_cpu), (plain, plain_cpu) = zip(*cells), zip(*plains)
    table("OpenClaw, start to healthy", {"in a cell": cell, "bare": plain, "systemctl start tenant@ returns": ready}, digits=0)
    table("processor time of it", {"in a cell, the sandbox included": cell_cpu, "bare": plain_cpu}, "s", 2)
    ratio = statistics.median(cell) / statistics.median(plain)
    promises("openclaw", [("real OpenClaw is ready in at most 1.05 × the time it takes bare", ratio, 1.05,
                           f"{ratio:.3f} × (least {min(cell) / min(plain):.3f}): {brief(cell, digits=0)} against {brief(plain, digits=0)}; "
                           f"processor time {statistics.median(cell_cpu) / statistics.median(plain_cpu):.3f} ×")])


bench(main)
