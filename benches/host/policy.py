#!/usr/bin/python3
"""Times decisions about egress by the program decide_speed, which counts by itself."""
import pathlib, statistics, sys

from measure import bench, promises, run

ROUNDS = 5


def round_(policies):
    lines = run(str(pathlib.Path(__file__).with_name("decide_speed")), policies).split("\n")
    return {what: int(number) for what, number in (line.split() for line in lines if line)}


def main():
    policies = sys.argv[1]
    rounds = {many: [round_(many) for _ in range(ROUNDS)] for many in ("1", policies)}
    middle = {many: {what: statistics.median(one[what] for one in seen) for what in seen[0]} for many, seen in rounds.items()}
    print(f"\nMedians of {ROUNDS} rounds of 300,000 decisions.\n\n| policies of three endpoints | median | p99 | most | allocations | read and merged |\n|---|---|---|---|---|---|")
    for many, found in middle.items():
        print(f"| {many} | {found['median'] / 1e3:.2f} µs | {found['p99'] / 1e3:.2f} µs | {found['most'] / 1e3:.0f} µs | {found['allocations']:.0f} | {found['compiled'] / 1e6:.1f} ms |")
    found = middle[policies]
    promises("policy", [
        (f"a decision over {policies} policies of three endpoints takes at most 10 µs at the 99th percentile", found["p99"], 10_000, f"{found['p99'] / 1e3:.2f} µs (median {found['median'] / 1e3:.2f}); with one policy {middle['1']['p99'] / 1e3:.2f}"),
        ("a decision allocates less than 20 times", found["allocations"], 19, f"{found['allocations']:.0f} times, host and path parsed"),
    ])


bench(main)
