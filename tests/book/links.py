#!/usr/bin/env python3
"""Checks the built book: every link and picture leads to a file that is there, and every anchor to an element that has it.

    python3 tests/book/links.py target/book
    python3 tests/book/links.py --self-test
"""

import html.parser
import pathlib
import sys
import tempfile
import urllib.parse


class Page(html.parser.HTMLParser):
    """Ids of a page, and where it leads."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.targets = set(), []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids |= {found[name] for name in ("id", "name") if found.get(name)}
        self.targets += [found[name] for name in ("href", "src") if found.get(name)]


def faults(book):
    pages = {path: Page(path) for path in sorted(book.rglob("*.html"))}
    for path, page in pages.items():
        # These two are the same for every place, with links from the root.
        if path.name in ("404.html", "toc.html"):
            continue
        for target in page.targets:
            url = urllib.parse.urlsplit(target)
            if url.scheme or url.netloc:
                continue
            place = (path.parent / urllib.parse.unquote(url.path)).resolve() if url.path else path
            place = place / "index.html" if place.is_dir() else place
            if not place.is_file():
                yield f"{path.relative_to(book)}: {target}: there is no such file"
            elif url.fragment and place in pages and urllib.parse.unquote(url.fragment) not in pages[place].ids:
                yield f"{path.relative_to(book)}: {target}: nothing there has this id"
    if len(pages) < 2:
        yield f"{book} has no pages"


def self_test():
    with tempfile.TemporaryDirectory() as home:
        book = pathlib.Path(home)
        (book / "a.html").write_text('<h1 id="top">a</h1><a href="b.html#there">1</a><a href="b.html#gone">2</a><a href="gone.html">3</a><img src="x.png">')
        (book / "b.html").write_text('<p id="there">b</p><a href="https://x.example/gone">4</a><a href="#gone">5</a>')
        found = [fault.rsplit(": ", 2)[1] for fault in faults(book.resolve())]
        assert found == ["b.html#gone", "gone.html", "x.png", "#gone"], found


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    found = list(faults(pathlib.Path(sys.argv[1]).resolve()))
    print("\n".join(found) or "docs: every link of the book leads somewhere")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
