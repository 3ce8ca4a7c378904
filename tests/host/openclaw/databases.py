#!/usr/bin/python3
"""Checks a copy of each SQLite database below a directory, journals and all; prints a line for each. Argument: the directory."""
import pathlib, shutil, sqlite3, sys, tempfile



def octets(value):
    """SQLite's octet_length(), which Debian 12's does not have, and which the gateway's tables are checked by."""
    return None if value is None else len(value if isinstance(value, bytes) else str(value).encode())


for file in sorted(pathlib.Path(sys.argv[1]).rglob("*")):
    if file.is_symlink() or not file.is_file() or file.open("rb").read(16) != b"SQLite format 3\0":
        continue
    with tempfile.TemporaryDirectory(dir="/dev/shm") as copies:
        for part in file.parent.glob(f"{file.name}*"):
            if part.name.removeprefix(file.name) in ("", "-wal", "-journal"):
                shutil.copy(part, copies)
        try:
            database = sqlite3.connect(f"{copies}/{file.name}")
            database.create_function("octet_length", 1, octets, deterministic=True)
            found = database.execute("PRAGMA integrity_check").fetchall()
        except sqlite3.DatabaseError as error:
            found = [(str(error),)]
        print(f"{file.name}: {' '.join(row[0] for row in found)}")
