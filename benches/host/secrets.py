#!/usr/bin/python3
"""Times the vault on a booted host, as root: archives sealed and opened against openssl's AES-256-GCM, `secret list` of many secrets, and the start of a unit with and without the credential that
brings a gateway its secrets, with tenant-credentials running."""
import os, pathlib, socket, sqlite3, statistics, subprocess, sys, time

from measure import Failed, bench, brief, progress, promises, run, table, timed

MANY = 10_000
VAULT = pathlib.Path("/var/lib/tenantd/vault")
SOCKET = "/run/tenantd/credentials.sock"
UNITS = pathlib.Path("/run/systemd/system")


def archives(rounds):
    """Megabytes a second, in turn."""
    seen = {"openssl speed, 64 KiB": [], "an archive sealed": [], "an archive opened": []}
    example = pathlib.Path(__file__).with_name("archive_speed")
    for _ in range(rounds):
        line = run("openssl", "speed", "-mr", "-evp", "aes-256-gcm", "-bytes", "65536", "-seconds", "1").strip().splitlines()[-1]
        seen["openssl speed, 64 KiB"].append(float(line.split(":")[-1]) / 1e6)
        for line in run(str(example)).splitlines():
            what, rate = line.split()
            seen["an archive sealed" if what == "seal" else "an archive opened"].append(int(rate) / 1e6)
    return seen


def fill(tenant, size):
    """Gives a tenant MANY secrets of `size` bytes: one that is set, and copies of its record under other names, as a list cannot tell
    them apart. The database has a row for each, as it would."""
    run("tenantctl", "secret", "set", tenant, "first", text="x" * size)
    record = next((VAULT / tenant).glob("secret.first.*")).read_bytes()
    names = [f"secret-number-{n}" for n in range(1, MANY)]
    for name in names:
        path = VAULT / tenant / f"secret.{name}.1"
        path.write_bytes(record)
        path.chmod(0o600)
    with sqlite3.connect("/var/lib/tenantd/state.db") as database:
        database.executemany("INSERT INTO secret (tenant, name, version, changed) VALUES (?, ?, 1, ?)",
                             [(tenant, name, time.time()) for name in names])


def listing(tenant, rounds):
    seen = [timed("sh", "-c", f"tenantctl secret list {tenant} >/dev/null") for _ in range(rounds)]
    # The gateway may have a secret of its own.
    shown = sum(line.startswith(("first ", "secret-number-")) for line in run("tenantctl", "secret", "list", tenant).splitlines())
    if shown != MANY:
        raise Failed(f"secret list shows {shown} secrets, not {MANY}")
    return seen


def lists(rounds):
    nothing = [timed("sh", "-c", "tenantctl secret list alpha >/dev/null") for _ in range(rounds)]
    rows = {"one without any": nothing}
    fill("alpha", 40)
    rows[f"{MANY} of 40 bytes"] = listing("alpha", rounds)
    fill("beta", 4096)
    rows[f"{MANY} of 4 KiB"] = listing("beta", rounds)
    return rows


def empty(tenant):
    for pattern in ("secret.first.*", "secret.secret-number-*"):
        for path in (VAULT / tenant).glob(pattern):
            path.unlink()
    with sqlite3.connect("/var/lib/tenantd/state.db") as database:
        database.execute("DELETE FROM secret WHERE tenant = ? AND (name = 'first' OR name LIKE 'secret-number-%')", [tenant])


def unit(instance, credential):
    (UNITS / f"tenant@{instance}.service").write_text(f"[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=oneshot\nExecStart=/bin/true\n{credential}\n")


def asked():
    """Milliseconds of an answer as PID 1 would ask for it."""
    begun = time.monotonic()
    with socket.socket(socket.AF_UNIX) as link:
        link.bind(f"\0{os.urandom(8).hex()}/unit/tenant@alpha.service/secrets")
        link.connect(SOCKET)
        bytes_ = b"".join(iter(lambda: link.recv(65536), b""))
    took = (time.monotonic() - begun) * 1e3
    if b"the value of the benchmark" not in bytes_:
        raise Failed(f"tenant-credentials answered {len(bytes_)} bytes without the secret")
    return took


def delivery(rounds):
    """The same unit without a credential, with one from a file, and with the gateway's from the socket, in turn."""
    run("tenantctl", "secret", "set", "alpha", "token", "--for", "file", text="the value of the benchmark")
    run("systemctl", "stop", "tenant@alpha", "tenant@beta")
    kinds = {"no credential": ("beta", ""), "one from a file": ("gamma", "LoadCredential=secrets:/etc/hostname"),
             "a tenant's secrets from the socket": ("alpha", f"LoadCredential=secrets:{SOCKET}")}
    for instance, credential in kinds.values():
        unit(instance, credential)
    seen = {kind: [] for kind in kinds}
    seen["the answer alone, asked by a script"] = []
    try:
        run("systemctl", "daemon-reload")
        asked()
        for _ in range(rounds):
            for kind, (instance, _) in kinds.items():
                seen[kind].append(timed("systemctl", "start", f"tenant@{instance}.service"))
            seen["the answer alone, asked by a script"].append(asked())
    finally:
        for instance, _ in kinds.values():
            (UNITS / f"tenant@{instance}.service").unlink()
        run("systemctl", "daemon-reload")
    return seen


def main():
    rounds = int(sys.argv[1])
    rates = archives(max(rounds // 4, 3))
    progress("archives were sealed and opened")
    given = delivery(rounds)
    progress("secrets were delivered; filling vaults")
    run("tenantctl", "secret", "remove", "alpha", "token")
    try:
        listed = lists(max(rounds // 4, 3))
    finally:
        for tenant in ("alpha", "beta"):
            empty(tenant)
        subprocess.run(["systemctl", "start", "tenant@alpha", "tenant@beta"], check=True)
    table("AES-256-GCM", rates, "MB/s", 0)
    table("start of a unit that does nothing", given, digits=2)
    table("tenantctl secret list", listed)
    none, file, secrets = (given[kind] for kind in list(given)[:3])
    cost = lambda values: statistics.median(values) - statistics.median(none)
    peer, sealed, opened = (statistics.median(values) for values in rates.values())
    many, large = listed[f"{MANY} of 40 bytes"], listed[f"{MANY} of 4 KiB"]
    promises("secrets", [
        (f"`tenantctl secret list` of a tenant with {MANY:,} secrets in at most 0.2 s", statistics.median(many), 200,
         f"{brief(many, digits=0)}; of 4 KiB each {statistics.median(large):.0f} ms"),
        ("secrets reach a unit at its start in at most 5 ms, with tenant-credentials running", cost(secrets), 5,
         f"{cost(secrets):.1f} ms: {brief(secrets)} against {brief(none)} without; a credential from a file costs {cost(file):.1f}; the answer alone {brief(list(given.values())[3], digits=2)}"),
        ("archives are sealed and opened at 0.8 of `openssl speed -evp aes-256-gcm -bytes 65536` or more", -min(sealed, opened) / peer, -0.8,
         f"sealed {sealed / peer:.2f} × ({sealed:.0f} MB/s), opened {opened / peer:.2f} × ({opened:.0f} MB/s); openssl {peer:.0f} MB/s")])


bench(main)
