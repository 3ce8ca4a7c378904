"""Rootful podman as it comes with Debian (crun, netavark), with an image made of the stand-in gateway and its libraries. Everything
lives on a tmpfs: a throwaway host's root is an overlay, on which podman's overlay cannot be mounted."""
import ctypes, os, pathlib, re, shutil, struct, subprocess

from measure import GATEWAY, PORT, Failed, first_answer, run

PLACE = pathlib.Path("/run/bench-podman")
PODMAN = ["podman", "--root", f"{PLACE}/storage", "--runroot", f"{PLACE}/run", "--runtime", "crun"]
PIDS = []  # options that this host makes necessary
NAME, ADDRESS, MAC = "bench-peer", "10.88.0.77", "92:d0:c6:00:00:77"


def prepare():
    """Makes the image; says what was run, and what this host made necessary."""
    files = [GATEWAY, *re.findall(r"/\S+", run("ldd", GATEWAY))]
    for file in files:
        target = PLACE / "image" / file.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    notes = [run("podman", "--version").strip(), run("crun", "--version").splitlines()[0], "netavark, overlay on tmpfs"]
    if not may_lift_limits():
        pretend_memlock_is_lifted()
        notes.append("no CAP_SYS_RESOURCE here, so setrlimit(RLIMIT_MEMLOCK) is answered with success for crun")
    if "pids" not in pathlib.Path("/sys/fs/cgroup/cgroup.controllers").read_text().split():
        PIDS.append("--pids-limit=0")
        notes.append("no pids controller here, so --pids-limit=0")
    archive = subprocess.run(["tar", "-C", f"{PLACE}/image", "-c", "."], check=True, capture_output=True).stdout
    made = subprocess.run([*PODMAN, "import", "-", "bench-standin"], input=archive, capture_output=True)
    if made.returncode:
        raise Failed(f"podman import: {made.stderr.decode().strip()}")
    # A neighbour, so that the bridge is there already, as beta is there beside the tenant.
    run(*PODMAN, "run", "-d", *PIDS, "--name", "bench-neighbour", "bench-standin", GATEWAY, "--port", str(PORT))
    first_answer(run(*PODMAN, "inspect", "-f", "{{.NetworkSettings.Networks.podman.IPAddress}}", "bench-neighbour").strip())
    # A lost address request would cost the measurement a second.
    run("ip", "neigh", "replace", ADDRESS, "lladdr", MAC, "dev", "podman0", "nud", "permanent")
    return "; ".join(notes)


def run_command(*options):
    """The command of one start, and the address that will answer."""
    return [*PODMAN, "run", "-d", "--name", NAME, "--ip", ADDRESS, "--mac-address", MAC, *PIDS, *options,
            "bench-standin", GATEWAY, "--port", str(PORT)], ADDRESS


def remove():
    run(*PODMAN, "rm", "-f", "-t", "0", NAME)


def end():
    subprocess.run([*PODMAN, "rm", "-f", "-a", "-t", "0"], capture_output=True)
    subprocess.run(["umount", f"{PLACE}/storage/overlay"], capture_output=True)
    shutil.rmtree(PLACE, ignore_errors=True)


def may_lift_limits():
    """Whether this process has CAP_SYS_RESOURCE."""
    effective = re.search(r"^CapEff:\s*(\w+)", pathlib.Path("/proc/self/status").read_text(), re.M)
    return bool(int(effective[1], 16) >> 24 & 1)


def pretend_memlock_is_lifted():
    """crun lifts RLIMIT_MEMLOCK before it loads its device program and gives up where it may not, although kernels from 5.11 on do not
    count such programs. A seccomp filter on this process and its children answers that one call, prlimit64(0, RLIMIT_MEMLOCK, new, …)
    on x86-64, with 0 without making it."""
    load, equal, ret = 0x20, 0x15, 0x06
    program = [(load, 0, 0, 4), (equal, 0, 7, 0xC000003E), (load, 0, 0, 0), (equal, 0, 5, 302), (load, 0, 0, 24), (equal, 0, 3, 8),
               (load, 0, 0, 32), (equal, 1, 0, 0), (ret, 0, 0, 0x00050000), (ret, 0, 0, 0x7FFF0000)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(22, 2, header, 0, 0):
        raise Failed(f"cannot install the filter: {os.strerror(ctypes.get_errno())}")
