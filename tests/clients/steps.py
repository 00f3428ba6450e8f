"""Reads what the clients' scripts print: a line "ok <step>" or "FAILED <step>: <why>" for each step."""


def read(text):
    """Steps of a script's output: (name, whether it did what is expected, why not)."""
    for line in text.splitlines():
        if line.startswith(("ok ", "FAILED ")):
            verdict, rest = line.split(" ", 1)
            step, _, why = rest.partition(": ")
            yield step, verdict == "ok", why
