"""Runs the rows of one area of escape.rows: escape_rows.py AREA NAMES-FILE; or prints the table that SECURITY.md carries:
escape_rows.py --table, and compares it with a file: escape_rows.py --check SECURITY.md.

Each attempt is made in tenant alpha's cell and must be blocked; then the same act is made where nothing holds it and must
succeed. NAMES-FILE has a line NAME=VALUE for each {name}; CELL:NAME and HOST:NAME differ by side. One line a row; exit
status 1 if any row failed.
"""

import json
import os
import re
import subprocess
import sys

PROBE = "/usr/local/lib/escape/escape-probe"
HERE = os.path.dirname(os.path.abspath(__file__))
USER = ["setpriv", "--reuid=4242", "--regid=4242", "--clear-groups", "--"]
IN_NETNS = ["ip", "netns", "exec"]
PLACES = {
    "cell": ["tenantctl", "exec", "alpha", "--"],
    "root": [],
    "user": USER,
    "netns": [*IN_NETNS, "escape"],
    "alpha-net": [*IN_NETNS, "t-alpha"],
    "beta-net": [*IN_NETNS, "t-beta"],
    "groups": ["setpriv", "--groups=0,4", "--"],
    "fd": ["sh", "-c", 'exec 9</etc/hostname; exec "$@"', "sh"],
    "accounts": ["unshare", "--mount", "sh", "-c", 'mount --bind /var/lib/escape/passwd /etc/passwd && exec "$@"', "sh"],
    "read-only": ["unshare", "--mount", "sh", "-c",
                  'd=/var/lib/escape/copy && mount --bind $d $d && mount -o remount,bind,ro $d && exec "$@"', "sh"],
}


def rows(area=None):
    """The rows of an area as (sentence, layers, control, may lack its control, attempt, control attempt)."""
    found = []
    with open(os.path.join(HERE, "escape.rows"), encoding="utf-8") as lines:
        for line in lines:
            if line.strip() and not line.startswith("#"):
                name, sentence, layers, control, attempt, other = [word.strip() for word in line.split(" | ")]
                if area in (None, name):
                    other = attempt if other == "=" else other
                    found.append((sentence, layers, control.rstrip("?"), control.endswith("?"), attempt, other))
    return found


def table():
    """One line a test: what a tenant cannot do, how many ways are tried, which layers hold."""
    lines = ["| a tenant… | ways tried | held by |", "|---|---|---|"]
    with open(os.path.join(HERE, "escape.sh"), encoding="utf-8") as text:
        tests = re.findall(r"^test_(\w+)\(\) {(?:[^}]*\n)? +rows ([a-z-]+)[;\n]", text.read(), re.MULTILINE)
    for name, area in tests:
        mine = rows(area)
        held = []
        for word in " ".join(row[1] for row in mine).split():
            if word not in held:
                held.append(word)
        sentence = name.removeprefix("a_tenant_").replace("_", " ")
        lines.append(f"| {sentence} | {len(mine)} | {', '.join(held)} |")
    return "\n".join(lines) + "\n"


def names(path):
    with open(path, encoding="utf-8") as lines:
        return dict(line.rstrip("\n").split("=", 1) for line in lines)


def fill(attempt, known, side):
    for name, value in known.items():
        where, _, plain = name.rpartition(":")
        if where in ("", side):
            attempt = attempt.replace("{" + plain + "}", value)
    if "{" in attempt:
        raise SystemExit(f"no value for {attempt}")
    return attempt.split()


def run(place, attempts):
    """The reports of a list of attempts made in one place, in their order."""
    if not attempts:
        return []
    asked = "".join("\t".join(words) + "\n" for words in attempts)
    done = subprocess.run(PLACES[place] + [PROBE, "batch"], input=asked, capture_output=True, text=True,
                          cwd="/var/lib/escape/own", check=False)
    reports = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if len(reports) != len(attempts):
        print(f"{place}: {len(reports)} reports for {len(attempts)} attempts, status {done.returncode}\n{done.stderr}")
        nothing = {"outcome": "error", "errno": "none", "detail": "no report"}
        reports += [nothing] * (len(attempts) - len(reports))
    return reports


def main():
    if sys.argv[1:] == ["--table"]:
        sys.stdout.write(table())
        return 0
    if sys.argv[1] == "--check":
        with open(sys.argv[2], encoding="utf-8") as text:
            if table() in text.read():
                return 0
        print(f"{sys.argv[2]} does not carry the present table: python3 {sys.argv[0]} --table prints it")
        return 1
    area, known = sys.argv[1], names(sys.argv[2])
    mine = rows(area)
    if not mine:
        raise SystemExit(f"no row in area {area}")
    tried = run("cell", [fill(attempt, known, "CELL") for *_, attempt, _ in mine])
    control = [None] * len(mine)
    for place in sorted({row[2] for row in mine}):
        at = [index for index, row in enumerate(mine) if row[2] == place]
        for index, report in zip(at, run(place, [fill(mine[index][5], known, "HOST") for index in at])):
            control[index] = report
    failures = 0
    for (sentence, layers, place, may_lack, *_), attempt, free in zip(mine, tried, control):
        held = attempt["outcome"] == "blocked"
        free_ok = free["outcome"] == "succeeded"
        verdict = "ok" if held and (free_ok or may_lack) else "FAILED"
        failures += verdict != "ok"
        seen = f"{attempt['outcome']} {attempt['errno']}" + ("" if held else f" ({attempt['detail']})")
        checked = f"as {place}: succeeded" if free_ok else f"as {place}: {free['outcome']} {free['errno']} ({free['detail']})"
        print(f"{verdict:7}{area}: {sentence}: {seen} [{layers}]; {checked}")
    print(f"{len(mine)} rows, {failures} failed, {sum(f['outcome'] != 'succeeded' for f in control)} without a control here")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
