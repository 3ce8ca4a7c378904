#!/usr/bin/python3
"""Looks for values where they must not be. Values are in files of one directory, never in an argument or a variable of a shell; each is
looked for by its halves, so that a remnant shows too. Every verb prints a line for each find.
    leak.py make DIR NAME…                   makes a random value in DIR/NAME for each NAME
    leak.py memory DIR NAMES PID…            "PID COMMAND NAME"
    leak.py words DIR NAMES                  arguments and environments of all processes: "PID COMMAND NAME"
    leak.py files DIR NAMES PATH… [-- PATH…] "PATH NAME"; what is below a PATH after the dashes is left out
    leak.py hold DIR NAME                    holds a value in memory until it is ended"""
import mmap, os, pathlib, secrets, signal, stat, string, sys

CHUNK = 1 << 22


def needles(directory, names):
    """(name, half) for each half of each value."""
    found = []
    for name in names.split(","):
        value = (pathlib.Path(directory) / name).read_bytes()
        found += [(name, value[:len(value) // 2]), (name, value[len(value) // 2:])]
    return found


def comm(pid):
    return pathlib.Path(f"/proc/{pid}/comm").read_text().strip().replace(" ", "-")


def regions(pid):
    for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
        span, rights, *_, name = (line + " ").split(" ", 5)
        if rights[0] == "r" and not name.strip().startswith(("[vvar", "[vsyscall", "/dev/")):
            yield tuple(int(end, 16) for end in span.split("-"))


def in_memory(pid, wanted):
    """Names of values in the memory of a process. Chunks overlap by more than a needle."""
    found, read = set(), 0
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for begin, end in regions(pid):
            for at in range(begin, end, CHUNK):
                try:
                    memory.seek(at)
                    bytes_ = memory.read(min(CHUNK + 64, end - at))
                except (OSError, OverflowError, ValueError):
                    break
                read += len(bytes_)
                found |= {name for name, half in wanted if half in bytes_}
    return found, read


def memory(directory, names, *pids):
    wanted = needles(directory, names)
    for pid in pids:
        if int(pid) == os.getpid():
            continue
        try:
            found, read = in_memory(pid, wanted)
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
        if not read and os.path.exists(f"/proc/{pid}/exe"):
            sys.exit(f"nothing of the memory of {pid} could be read")
        for name in sorted(found):
            print(pid, comm(pid), name)


def words(directory, names):
    wanted = needles(directory, names)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            bytes_ = b"".join(pathlib.Path(f"/proc/{pid}/{file}").read_bytes() for file in ("cmdline", "environ"))
            for name in sorted({name for name, half in wanted if half in bytes_}):
                print(pid, comm(pid), name)
        except (FileNotFoundError, ProcessLookupError):
            pass  # it has ended


def files(directory, names, *paths):
    wanted = needles(directory, names)
    split = paths.index("--") if "--" in paths else len(paths)
    excluded = {os.path.realpath(path) for path in (*paths[split + 1:], directory)}
    for top in paths[:split]:
        listed = os.walk(top) if os.path.isdir(top) else [(os.path.dirname(top), [], [os.path.basename(top)])]
        for folder, folders, entries in listed:
            folders[:] = [name for name in folders if os.path.join(folder, name) not in excluded]
            for path in (os.path.join(folder, name) for name in entries):
                for name in in_file(path, wanted):
                    print(path, name)


def in_file(path, wanted):
    try:
        about = os.lstat(path)
        if not stat.S_ISREG(about.st_mode) or not about.st_size:
            return []
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as bytes_:
            return sorted({name for name, half in wanted if bytes_.find(half) >= 0})
    except (FileNotFoundError, ValueError):
        return []  # it has gone, or shrunk


def make(directory, *names):
    os.makedirs(directory, mode=0o700, exist_ok=True)
    for name in names:
        value = "".join(secrets.choice(string.ascii_letters) for _ in range(40))
        (pathlib.Path(directory) / name).write_text(value)


def hold(directory, name):
    value = (pathlib.Path(directory) / name).read_bytes()
    print("held", flush=True)
    signal.pause()
    del value


{"make": make, "memory": memory, "words": words, "files": files, "hold": hold}[sys.argv[1]](*sys.argv[2:])
