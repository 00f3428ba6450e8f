"""What tests take from npm and PyPI, as their lock files have it, in a folder of .tools that is filled once. Knows nothing of the tests."""

import hashlib
import shutil
import subprocess
import sys


def once(tools, name, lock, act):
    """Does what a lock file asks for, unless it was done for the same lock."""
    mark, wanted = tools / f"{name}-installed", hashlib.sha256(lock.read_bytes()).hexdigest()
    if not mark.exists() or mark.read_text() != wanted:
        tools.mkdir(parents=True, exist_ok=True)
        act()
        mark.write_text(wanted)


def npm(tools, folder):
    """The packages of `folder`, in `tools/node_modules`."""

    def install():
        shutil.rmtree(tools / "node_modules", ignore_errors=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(folder / name, tools / name)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", f"--cache={tools}/cache"]
        subprocess.run(command, cwd=tools, check=True)
        shutil.rmtree(tools / "cache", ignore_errors=True)

    once(tools, "npm", folder / "package-lock.json", install)


def pip(tools, requirements):
    """The packages of a file of requirements, in `tools/venv`; returns its Python."""
    python = tools / "venv/bin/python"

    def install():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(tools / "venv")], check=True)
        command = [python, "-m", "pip", "install", "--quiet", "--no-cache-dir", "--require-hashes", "-r", str(requirements)]
        subprocess.run(command, check=True)

    once(tools, "pip", requirements, install)
    return python


def node(tools):
    """Node: that of the lock file; of a machine that it has none for, its own, 22 or newer."""
    return str(next((tools / "node_modules").glob("node-*/bin/node"), "node"))
