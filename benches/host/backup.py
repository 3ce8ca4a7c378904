#!/usr/bin/python3
"""Times `tenantctl backup` and `restore` on a booted host, as root, against tar, zstd -3 and openssl on the same data in the same run, in turn; and sees how much memory tenantd and
tenant-archive held at most, with a quarter of the data and with all of it. The data are copies of /usr, so that there are thousands of files of every size."""
import contextlib, os, pathlib, shutil, statistics, subprocess, sys, threading, time

from measure import GATEWAY, PORT, Failed, bench, brief, progress, promises, run, table, timed

# Not one of the host's own tenants: what an overlay's lower layer holds cannot be renamed, as a restore does.
TENANT = "bench"
WORKSPACE = pathlib.Path(f"/var/lib/tenants/{TENANT}/workspace/bench")
BEFORE = pathlib.Path(f"/var/lib/tenants/.{TENANT}.old")
BACKUPS = pathlib.Path("/srv/bench-backups")
PEER, UNPACKED = BACKUPS / "peer", pathlib.Path("/srv/bench-unpacked")
CIPHER = "openssl enc -aes-256-ctr -pbkdf2 -pass pass:x"
SOURCES = ("/usr/lib", "/usr/share")


def size_of(path):
    """Bytes of all files, and their number."""
    sizes = [os.lstat(os.path.join(where, name)).st_size for where, _, names in os.walk(path) for name in names]
    return sum(sizes), len(sizes)


def fill(target):
    """Copies until there are so many bytes; answers with what is there."""
    copies = len(list(WORKSPACE.glob("*"))) if WORKSPACE.exists() else 0
    WORKSPACE.mkdir(exist_ok=True)
    there = size_of(WORKSPACE)
    while there[0] < target:
        for source in SOURCES:
            for part in sorted(pathlib.Path(source).iterdir()):
                if there[0] < target and part.is_dir() and not part.is_symlink():
                    copy = WORKSPACE / f"{copies}-{part.name}"
                    run("cp", "-r", "--preserve=timestamps,links", str(part), str(copy))
                    there = tuple(map(sum, zip(there, size_of(copy))))
                    copies += 1
    run("chown", "-R", "--no-dereference", f"t-{TENANT}:", str(WORKSPACE))
    # Written back before anything is timed.
    os.sync()
    return there


def back_up(*options):
    """Milliseconds; the file is the newest there."""
    return timed("sh", "-c", 'exec tenantctl backup "$@" >/dev/null', "sh", TENANT, "--to", str(BACKUPS), *options)


def restore():
    """Milliseconds until the data of the backup is the tenant's, and until what it had before is gone."""
    begun, exchanged = time.monotonic(), None
    child = subprocess.Popen(["tenantctl", "restore", str(newest()), "--yes"], stdout=subprocess.DEVNULL)
    while child.poll() is None:
        if exchanged is None and BEFORE.exists():
            exchanged = time.monotonic()
        time.sleep(0.005)
    if child.returncode or exchanged is None:
        raise Failed(f"tenantctl restore: status {child.returncode}")
    return (exchanged - begun) * 1e3, (time.monotonic() - begun) * 1e3


def newest():
    return max(BACKUPS.glob("*.backup"), key=lambda path: path.stat().st_mtime_ns)


def peer(out):
    data = WORKSPACE.parent.parent
    return timed("bash", "-c", f"set -o pipefail; tar -C {data} -c . | zstd -q -3 | {CIPHER} >{out}")


def peer_back(file):
    """The same of the pipeline: unpacked beside what is there, onto the disk; then that is removed."""
    UNPACKED.mkdir(exist_ok=True)
    new = UNPACKED.with_name(f"{UNPACKED.name}.new")
    new.mkdir()
    unpacked = timed("bash", "-c", f"set -o pipefail; {CIPHER} -d <{file} | zstd -q -d | tar -C {new} -x && sync -f {new}")
    removed = timed("rm", "-rf", str(UNPACKED))
    new.rename(UNPACKED)
    return unpacked, unpacked + removed


def status(pid, field):
    """A line of /proc/PID/status in KiB."""
    return next(int(line.split()[1]) for line in open(f"/proc/{pid}/status") if line.startswith(f"{field}:"))


@contextlib.contextmanager
def watched(unit):
    """Peaks in KiB while a thing runs: how much tenantd grew, and what the main process of a unit held."""
    daemon, peaks, over = run("systemctl", "show", "-P", "MainPID", "tenantd").strip(), {"archive": 0, "daemon": 0}, threading.Event()
    before = status(daemon, "VmRSS")
    pathlib.Path(f"/proc/{daemon}/clear_refs").write_text("5")  # VmHWM begins anew

    def watch():
        while not over.wait(0.02):
            for place in pathlib.Path("/proc").glob("[0-9]*/comm"):
                with contextlib.suppress(OSError, StopIteration):
                    if place.read_text() == "tenant-archive\n" and unit in place.with_name("cgroup").read_text():
                        peaks["archive"] = max(peaks["archive"], status(place.parent.name, "VmHWM"))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peaks
    finally:
        over.set()
        thread.join()
        if run("systemctl", "show", "-P", "MainPID", "tenantd").strip() != daemon:
            raise Failed("tenantd ended meanwhile: see its journal")
        peaks["daemon"] = status(daemon, "VmHWM") - before


def memory():
    """Peaks of a backup and of a restore."""
    seen = {}
    with watched("archive-pack") as seen["backup"]:
        back_up("--no-verify")
    with watched("archive-unpack") as seen["restore"]:
        restore()
    if not all(peaks["archive"] for peaks in seen.values()):
        raise Failed("tenant-archive was not seen running")
    return seen


KINDS = ("backup --no-verify", "tar, zstd -3, openssl", "backup", "restore --yes: data exchanged", "restore --yes: to its end", "openssl, zstd -d, tar, sync -f", "and the one before removed")


def rounds_of(rounds):
    """In turn, the first of each thrown away: it fills the page cache."""
    seen = {what: [] for what in KINDS}
    for number in range(rounds + 1):
        took = [back_up("--no-verify"), peer(PEER), back_up(), *restore(), *peer_back(PEER)]
        for values, value in zip(seen.values(), took):
            values += [value] if number else []
        progress(f"round {number} of {rounds}: " + ", ".join(f"{value:.0f}" for value in took) + " ms")
        sizes = newest().stat().st_size, PEER.stat().st_size
        for old in BACKUPS.iterdir():
            old.unlink()
    shutil.rmtree(UNPACKED)
    return seen, sizes


def main():
    rounds, target = int(sys.argv[1]), int(sys.argv[2]) << 20
    BACKUPS.mkdir(mode=0o700)
    run("tenantctl", "create", TENANT, "--runtime", "generic", "--port", str(PORT), "--command", f"{GATEWAY} --port {PORT}")
    try:
        progress("filling the workspace")
        quarter = fill(target // 4)
        small = memory()
        whole = fill(target)
        progress(f"{whole[0] / 1e6:.0f} MB in {whole[1]} files")
        large = memory()
        seen, sizes = rounds_of(rounds)
    finally:
        shutil.rmtree(BACKUPS)
        run("tenantctl", "delete", TENANT, "--yes")
    made, pipeline, _, exchanged, _, unpacked, _ = (statistics.median(values) for values in seen.values())
    table(f"{whole[0] / 1e6:.0f} MB in {whole[1]} files", {what: [value / 1e3 for value in values] for what, values in seen.items()}, "s", 2)
    print(f"\nsize: {sizes[0] / 1e6:.0f} MB, of the pipeline {sizes[1] / 1e6:.0f} MB")
    print(f"\n| memory held at most, MB of data | {quarter[0] / 1e6:.0f} | {whole[0] / 1e6:.0f} |\n|---|---|---|")
    for verb in small:
        for who, what in (("archive", "tenant-archive"), ("daemon", "more of tenantd")):
            print(f"| {verb}: {what} | {small[verb][who] / 1024:.1f} MiB | {large[verb][who] / 1024:.1f} MiB |")
    most = max(peaks["archive"] for peaks in (*small.values(), *large.values()))
    growth = max(large[verb]["daemon"] - small[verb]["daemon"] for verb in small)
    brief_of = lambda kind: brief([value / 1e3 for value in seen[kind]], "s", 2)
    rate = lambda kind: f"{whole[0] / 1e3 / statistics.median(seen[kind]):.0f} MB/s, {brief_of(kind)}"
    promises("backup", [
        ("a backup is made at 0.9 or more of the speed of `tar`, `zstd -3` and `openssl enc -aes-256-ctr` in a pipeline", -pipeline / made, -0.9,
         f"{pipeline / made:.2f} ×: {rate(KINDS[0])} against {rate(KINDS[1])}; read again as well {brief_of(KINDS[2])}"),
        ("a restore has put the data in its place in at most 1.1 × the time of that pipeline backwards and `sync -f`", exchanged / unpacked, 1.1,
         f"{exchanged / unpacked:.2f} ×: {rate(KINDS[3])} against {rate(KINDS[5])}; with what was there before removed {brief_of(KINDS[4])} against {brief_of(KINDS[6])}"),
        ("`tenant-archive` holds at most 32 MiB, whatever the size of the data", most, 32 << 10,
         f"{most / 1024:.1f} MiB, with {quarter[0] / 1e6:.0f} MB and with {whole[0] / 1e6:.0f}"),
        ("tenantd holds no more memory for a backup or restore of 4 × the data", growth, 1024,
         f"{growth / 1024:+.1f} MiB; at most {max(large[verb]['daemon'] for verb in large) / 1024:.1f} MiB above what it held before")])


bench(main)
