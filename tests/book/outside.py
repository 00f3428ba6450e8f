#!/usr/bin/env python3
"""Preprocessor of mdBook: links that lead out of docs/ get the repository's address, or become its path where no address is known;
links to a README.md lead to the index.html that mdBook makes of it.

SOURCE_URL is the address of a file of the repository without its path, such as https://forge.example/team/mcp-relay/blob/main.
"""

import json
import os
import posixpath
import re
import sys

LINK = re.compile(r"\[([^\]\[]*)\]\(([^)\s:]+)\)")


def outside(text, page, site):
    """The text of a page, whose path is below docs/."""
    def replace(match):
        label, target = match.groups()
        path, _, anchor = target.partition("#")
        place = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), path)) if path else "docs"
        if place == "docs" or place.startswith("docs/"):
            return re.sub(r"\bREADME\.md(?=\)|#)", "index.md", match[0]) if path else match[0]
        if site:
            return f"[{label}]({site}/{place}{'#' + anchor if anchor else ''})"
        return label if place in label else f"{label} (`{place}`)"

    return LINK.sub(replace, text)


def walk(items, site):
    for item in items:
        chapter = item.get("Chapter") if isinstance(item, dict) else None
        if chapter:
            if chapter.get("source_path"):
                chapter["content"] = outside(chapter["content"], chapter["source_path"], site)
            walk(chapter["sub_items"], site)


def main():
    if sys.argv[1:2] == ["supports"]:
        return
    _, book = json.load(sys.stdin)
    walk(book.get("items", book.get("sections")), os.environ.get("SOURCE_URL", "").rstrip("/"))
    json.dump(book, sys.stdout)


if __name__ == "__main__":
    main()
