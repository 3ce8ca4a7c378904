"""What a host has that a tenant could leave behind, as a set of lines for each kind."""
import json, os, pathlib

from measure import run

# What differs by itself: journals, sockets of their streams, and files that systemd writes for any unit that is loaded.
PASSING = ("/run/log/", "/run/systemd/journal/", "/run/systemd/units/", "/run/systemd/propagate", "/run/udev/queue", "/run/dbus")
# What timers of the host start meanwhile.
TIMED = ("tenantd-selftest.service", "systemd-tmpfiles-clean.service")


def files():
    for top in ("/etc", "/var/lib", "/run"):
        for place, directories, names in os.walk(top):
            for name in directories + names:
                path = f"{place}/{name}"
                if not path.startswith(PASSING):
                    yield path


def elements():
    for item in json.loads(run("nft", "-j", "list", "table", "inet", "tenantd"))["nftables"]:
        for kind in ("set", "map"):
            for element in item.get(kind, {}).get("elem", []):
                yield f"{item[kind]['name']}: {json.dumps(element)}"


def left():
    # Without --all: a unit that systemd merely remembers is nothing left behind.
    units = run("systemctl", "list-units", "--plain", "--no-legend").splitlines()
    found = {
        "links": {line.split()[0].split("@")[0] for line in run("ip", "-br", "link").splitlines()},
        "namespaces": set(os.listdir("/run/netns")),
        "elements of the fence": set(elements()),
        "users and groups": set(run("getent", "passwd").splitlines()) | set(run("getent", "group").splitlines()),
        "processes of tenants": {line for line in run("ps", "-e", "-o", "user=").split() if line.startswith("t-")},
        "units": {line.split()[0] for line in units if line},
        "cgroups": {str(path) for path in pathlib.Path("/sys/fs/cgroup").rglob("*") if path.is_dir()},
        "mounts": {line.split()[4] for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()},
        "files": set(files()),
    }
    return {kind: {name for name in names if not name.endswith(TIMED)} for kind, names in found.items()}


def difference(before, after):
    """Lines on what is there now and was not."""
    return [f"{kind}: {name}" for kind in before for name in sorted(after[kind] - before[kind])]
