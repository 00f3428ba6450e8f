#!/usr/bin/env python3
"""Runs the official conformance suite against the fixture directly and through the relay, and compares check by check.

    python3 tests/conformance/run.py [arrangement …]     (without: all; a pattern such as 'stdio-*' takes several)

Fails where a check has another verdict through the relay than directly and exceptions.toml does not say why, where an exception
excuses nothing, and where the fixture itself fails. Results of the suite are left in .tools/conformance/results. Needs the built
program and fixture, and npm (`make test-conformance` builds, scripts/setup conformance installs). Ends only what it started.
"""

import concurrent.futures
import fnmatch
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "clients"))
import install  # noqa: E402
from compare import Exceptions, differences, read  # noqa: E402
from processes import FIXTURE, PATIENCE, ROOT, Arrangement  # noqa: E402

TOOLS = ROOT / ".tools/conformance"
RESULTS = TOOLS / "results"
REQUIREMENTS = ("2025-11-25", "2026-07-28")
# Arrangements that run at a time: the suite mostly waits.
AT_A_TIME = 3
# Seconds that one run of the suite may take.
LIMIT = 300
# Runs more in which a check may show that it passes.
RETRIES = 2


def stdio(eras):
    return {"command": FIXTURE, "args": ["stdio", "--eras", eras]}


def one_proxy(arrangement, server):
    proxy = arrangement.proxy("proxy")
    arrangement.slave([proxy.ws], server)
    return f"http://{proxy.http}/mcp", [proxy]


def two_proxies(arrangement, server):
    """A client that takes a random proxy at each request."""
    proxies = [arrangement.proxy(f"proxy-{number}") for number in (1, 2)]
    arrangement.slave([proxy.ws for proxy in proxies], server)
    return arrangement.split([proxy.http for proxy in proxies]), proxies


def reset_links(arrangement, server):
    """Links that are reset again and again: lists stay, and calls wait for the only slave to come back."""
    proxy = arrangement.proxy("proxy")
    arrangement.slave([arrangement.reset(proxy.ws)], server)
    return f"http://{proxy.http}/mcp", [proxy]


def own_port(arrangement, server):
    """The slave's own port, without a proxy."""
    proxy = arrangement.proxy("proxy")
    slave = arrangement.slave([proxy.ws], server)
    return f"http://{slave.http}/mcp", [proxy]


# Name → (how client and server are joined, whether the server is reached over HTTP, its eras).
ARRANGEMENTS = {
    "stdio-modern": (one_proxy, False, "both"),
    "stdio-legacy": (one_proxy, False, "legacy"),
    "http-modern": (one_proxy, True, "both"),
    "http-legacy": (one_proxy, True, "legacy"),
    "two-proxies-modern": (two_proxies, False, "both"),
    "two-proxies-legacy": (two_proxies, False, "legacy"),
    "reset-links-modern": (reset_links, False, "both"),
    "own-port-modern": (own_port, False, "both"),
    "own-port-legacy": (own_port, False, "legacy"),
}


def suite_command():
    """The suite, as the lock file has it, with a Node that runs it."""
    install.npm(TOOLS, HERE / "node")
    return [install.node(TOOLS), str(TOOLS / "node_modules/@modelcontextprotocol/conformance/dist/index.js")]


def run_suite(suite, url, requirements, folder):
    """Verdicts of one run of the suite."""
    out = folder / requirements
    command = [*suite, "server", "--url", url, "--requirements", requirements, "-o", str(out)]
    env = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    # Failed checks are no failure of the run.
    with (folder / f"{requirements}.log").open("wb") as log:
        subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=LIMIT, check=False)
    found = read(out)
    if not found:
        raise SystemExit(f"conformance: the suite says nothing:\n{(folder / f'{requirements}.log').read_text()[-2000:]}")
    return found


def wait_until_ready(proxies):
    for proxy in proxies:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                urllib.request.urlopen(f"http://{proxy.http}/readyz", timeout=2).close()
                break
            except OSError:
                if time.monotonic() > end:
                    raise SystemExit(f"conformance: {proxy.name} is not ready:\n{proxy.log.read_text()[-2000:]}") from None
                time.sleep(0.1)


def run(suite, name, direct, exceptions):
    """Verdicts of one arrangement, one a set of requirements."""
    join, over_http, eras = ARRANGEMENTS[name]
    folder = RESULTS / name
    with Arrangement(folder) as arrangement:
        server = {"type": "http", "url": arrangement.fixture(eras)} if over_http else stdio(eras)
        url, proxies = join(arrangement, server)
        wait_until_ready(proxies)
        found = {requirements: run_suite(suite, url, requirements, folder) for requirements in REQUIREMENTS}
        return {
            requirements: retried(suite, url, folder, direct[requirements], found[requirements],
                                  lambda key, requirements=requirements: exceptions.excuses(name, requirements, *key), requirements)
            for requirements in REQUIREMENTS
        }


def retried(suite, url, folder, direct, first, excused, requirements):
    """A check may differ, but not each time: the suite has time limits of its own, which a slow machine or a link that is reset exceeds,
    and it asks another proxy about an ended session at once, which learns of that by its slaves some milliseconds later."""
    for attempt in range(RETRIES):
        differ = {key for key in (difference[:2] for difference in differences(direct, first)) if not excused(key)}
        if not differ:
            break
        print(f"{folder.name} {requirements}: run again for {sorted(differ)}")
        again = folder / f"again-{requirements}-{attempt}"
        again.mkdir()
        second = run_suite(suite, url, requirements, again)
        first = {key: second.get(key, []) if key in differ else verdicts for key, verdicts in first.items()}
    return {key: verdicts for key, verdicts in first.items() if verdicts}


def run_direct(suite):
    with Arrangement(RESULTS / "direct") as arrangement:
        url = arrangement.fixture("both")
        found = {requirements: run_suite(suite, url, requirements, RESULTS / "direct") for requirements in REQUIREMENTS}
    for requirements, checks in found.items():
        bad = [key for key, verdicts in checks.items() if any(status in ("FAILURE", "WARNING") for status, _ in verdicts)]
        if bad:
            raise SystemExit(f"conformance: the fixture itself fails {requirements}: {bad}")
    return found


def report(name, direct, found, exceptions):
    """Prints one row a set of requirements and its differences: (checks that are equal, excused, that differ)."""
    total = [0, 0, 0]
    for requirements in REQUIREMENTS:
        excused, different = [], []
        for difference in differences(direct[requirements], found[requirements]):
            meant = exceptions.excuses(name, requirements, *difference[:2])
            (excused if meant else different).append(difference)
        others = {difference[:2] for difference in excused + different}
        equal = sum(len(verdicts) for key, verdicts in direct[requirements].items() if key not in others)
        print(f"{name:20} {requirements}  {equal:4} equal {len(excused):4} excused {len(different):4} different")
        for scenario, check, expected, got, message in different:
            print(f"    {scenario} {check}: {got} instead of {expected}  {message[:200]}")
        total = [sum(pair) for pair in zip(total, (equal, len(excused), len(different)))]
    return total


def main(patterns):
    chosen = [name for name in ARRANGEMENTS if not patterns or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]
    if not chosen:
        raise SystemExit(f"conformance: no arrangement {patterns}; there are {', '.join(ARRANGEMENTS)}")
    exceptions = Exceptions(HERE / "exceptions.toml")
    suite = suite_command()
    shutil.rmtree(RESULTS, ignore_errors=True)
    began = time.monotonic()
    direct = run_direct(suite)
    total, broken, lock = [0, 0, 0], [], threading.Lock()

    def one(name):
        found = run(suite, name, direct, exceptions)
        with lock:
            return report(name, direct, found, exceptions)

    with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
        for name, result in [(name, pool.submit(one, name)) for name in chosen]:
            try:
                total = [sum(pair) for pair in zip(total, result.result())]
            except (SystemExit, subprocess.TimeoutExpired) as failure:
                broken.append(name)
                print(f"{name}: {failure}")
    stale = list(exceptions.stale(set(chosen) - set(broken)))
    for entry in stale:
        print(f"stale exception, it excuses nothing: {entry}")
    failed = total[2] + len(broken) + len(stale)
    print(f"conformance: {len(chosen)} arrangements in {time.monotonic() - began:.0f} s, {total[1]} checks excused")
    print(f"conformance: {total[0]} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
