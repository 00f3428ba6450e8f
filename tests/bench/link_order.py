"""Writes a linker script that puts the called functions first.

    link_order.py PROGRAM CALLGRIND...

PROGRAM has symbols; the other files are callgrind's, without demangling. Names are written so that they fit after a change elsewhere: without
the compiler's hashes and numbers, unless functions that are not called would come along.
"""

import re
import subprocess
import sys
from collections import Counter

HASH = re.compile(r"17h[0-9a-f]{16}E")
CRATE = re.compile(r"Cs[0-9A-Za-z]+_")
# What link-time optimisation appends where two functions have one name.
NUMBER = re.compile(r"\.\d+$")
# More bytes of functions that are not called than these do not come along.
MAX_EXTRA = 1024


def sizes_of(program):
    """Returns the size of each function, in bytes."""
    lines = subprocess.run(["nm", "-S", program], check=True, capture_output=True, text=True).stdout.splitlines()
    fields = (line.split() for line in lines)
    return {one[3]: int(one[1], 16) for one in fields if len(one) == 4 and one[2] in "tTwW"}


def costs_of(path):
    """Returns the instructions of each function that a process has called, those that it calls left out."""
    costs, names, function, is_call = Counter(), {}, None, False
    for line in open(path, encoding="utf-8"):
        line = line.rstrip()
        if match := re.match(r"(c?)fn=\((\d+)\)(?: (.*))?$", line):
            called, number, name = match.groups()
            if name:
                # Recursion has numbers of its own.
                names[number] = name.split("'")[0]
            if not called:
                function = names[number]
        elif line.startswith("calls="):
            is_call = True
        elif match := re.match(r"[+\-*\d]\S* (\d+)$", line):
            if function and not is_call:
                costs[function] += int(match[1])
            is_call = False
    return costs


def stable(name):
    """Returns a pattern for a function and those that differ from it in numbers only."""
    name = HASH.sub("17h*E", NUMBER.sub("*", name))
    return CRATE.sub("Cs*_", name) if name.startswith("_R") else name


def main():
    sizes, processes = sizes_of(sys.argv[1]), [costs_of(path) for path in sys.argv[2:]]
    costs = sum(processes, Counter())
    # What all processes call comes first, then what some do: each of them needs few pages that only others use.
    callers = {name: [name in one for one in processes] for name in costs}
    called = sorted(sizes.keys() & costs.keys(), key=lambda name: (-sum(callers[name]), callers[name], -costs[name]))
    of_all, of_called = Counter(), Counter()
    for name, size in sizes.items():
        of_all[stable(name)] += size
    for name in called:
        of_called[stable(name)] += sizes[name]
    patterns = {}
    for name in called:
        wide = stable(name)
        extra = of_all[wide] - of_called[wide]
        patterns[NUMBER.sub("*", name) if extra > max(MAX_EXTRA, of_called[wide] // 2) else wide] = None
    print("/* Made by `make link-order`: the functions that proxies and slaves call, those of both first. */")
    print("SECTIONS\n{\n  .text.first : {")
    for pattern in patterns:
        print(f"    *(.text.{pattern})")
    print("  }\n}\nINSERT BEFORE .text;")
    total = sum(sizes[name] for name in called)
    print(f"link-order: {len(called)} functions of {total} bytes, of {len(sizes)}", file=sys.stderr)


main()
