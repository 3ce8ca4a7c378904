"""Print this machine's own Debian archive sources for another suite: apt_sources.py SUITE (deb822 on stdout).

Only entries whose suites are the machine's own release, its -updates or its -security, with component main, count;
third-party archives do not.
"""

import glob
import re
import sys


def own_codename():
    with open("/etc/os-release", encoding="utf-8") as release:
        return dict(line.rstrip().split("=", 1) for line in release if "=" in line)["VERSION_CODENAME"].strip('"')


def deb822_entries(text):
    for stanza in re.split(r"\n\s*\n", text):
        lines = [line for line in stanza.splitlines() if line and not line.startswith("#")]
        fields = {}
        for line in lines:
            if line[0] in " \t":
                fields[name] += "\n" + line
            else:
                name, value = line.split(":", 1)
                name = name.lower()
                fields[name] = value.strip()
        if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes").lower() != "no":
            yield fields["uris"], fields["suites"].split(), fields.get("components", "").split(), fields.get("signed-by")


def one_line_entries(text):
    for line in text.splitlines():
        found = re.match(r"deb\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)\s+(.*)", line.split("#")[0].strip())
        if found:
            options = dict(option.split("=", 1) for option in (found[1] or "").split() if "=" in option)
            yield found[2], [found[3]], found[4].split(), options.get("signed-by")


def entries():
    for path in ["/etc/apt/sources.list", *sorted(glob.glob("/etc/apt/sources.list.d/*"))]:
        try:
            with open(path, encoding="utf-8") as source:
                text = source.read()
        except FileNotFoundError:
            continue
        if path.endswith(".sources"):
            yield from deb822_entries(text)
        elif path.endswith(".list"):
            yield from one_line_entries(text)


def main(suite):
    own = own_codename()
    written = False
    for uris, suites, components, signed_by in entries():
        wanted = [s.replace(own, suite, 1) for s in suites if s in (own, own + "-updates", own + "-security")]
        if not wanted or "main" not in components:
            continue
        print(f"Types: deb\nURIs: {uris}\nSuites: {' '.join(wanted)}\nComponents: main")
        print(f"Signed-By: {signed_by or '/usr/share/keyrings/debian-archive-keyring.gpg'}\n")
        written = True
    if not written:
        sys.exit(f"error: no Debian archive for {own} in /etc/apt/sources.list or /etc/apt/sources.list.d")


main(sys.argv[1])
