"""What the suite found, and how that differs from asking the server directly. Knows nothing of processes."""

import collections
import fnmatch
import json
import re
import tomllib

# Statuses that say something of the server; INFO tells what was sent and received.
VERDICTS = {"SUCCESS", "FAILURE", "WARNING", "SKIPPED"}


def read(folder):
    """(scenario, check) → its verdicts in order, with the messages of those that failed."""
    found = collections.defaultdict(list)
    for file in sorted(folder.glob("*/checks.json")):
        scenario = re.fullmatch(r"server-(.+)-\d{4}-\d{2}-\d{2}T[\d-]+Z", file.parent.name)[1]
        for check in json.loads(file.read_text()):
            # What a scenario could not test has the id of what it tests, and says why there.
            if check["status"] in VERDICTS or check["id"].endswith(("-content-type", "-tool")):
                found[scenario, check["id"]].append((check["status"], check.get("errorMessage") or ""))
    return dict(found)


def differences(direct, relay):
    """Checks whose verdicts are others through the relay: (scenario, check, expected, got, message)."""
    for key in sorted(direct.keys() | relay.keys()):
        expected = sorted(status for status, _ in direct.get(key, []))
        got = sorted(status for status, _ in relay.get(key, []))
        if expected != got:
            message = "; ".join(message for status, message in relay.get(key, []) if message and status != "SUCCESS")
            yield (*key, shown(expected), shown(got), message)


def shown(statuses):
    counts = collections.Counter(statuses)
    return "+".join(f"{count}×{status}" if count > 1 else status for status, count in counts.items()) or "nothing"


class Exceptions:
    """Differences that are meant, each with its reason; one that excuses nothing is stale."""

    def __init__(self, file):
        self.entries = tomllib.loads(file.read_text()).get("exception", [])
        for entry in self.entries:
            missing = {"arrangement", "requirements", "scenario", "check", "reason"} - entry.keys()
            if missing or len(entry["reason"]) < 20:
                raise SystemExit(f"conformance: an exception needs {sorted(missing) or 'a reason in words'}: {entry}")
        self.used = [False] * len(self.entries)

    def excuses(self, arrangement, requirements, scenario, check):
        excused = False
        for position, entry in enumerate(self.entries):
            pairs = [("arrangement", arrangement), ("requirements", requirements), ("scenario", scenario), ("check", check)]
            if all(fnmatch.fnmatchcase(value, entry[name]) for name, value in pairs):
                self.used[position] = excused = True
        return excused

    def stale(self, arrangements):
        """Entries that excused nothing in a run of all arrangements that they name."""
        for used, entry in zip(self.used, self.entries):
            if not used and any(fnmatch.fnmatchcase(name, entry["arrangement"]) for name in arrangements):
                yield entry
