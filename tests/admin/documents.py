"""What the documents say: their commands, links, headings and tables."""

import glob
import os
import re
import shlex

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
SPAN = re.compile(r"`([^`\n]+)`")
HEADING = re.compile(r"^#+ (.+)$", re.M)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def for_users():
    """README.md and docs/, by path from the root."""
    return ["README.md", *sorted(os.path.relpath(path, ROOT) for path in glob.glob(os.path.join(ROOT, "docs", "*.md")))]


def all_of_them():
    """Every document of the repository, not those of a build."""
    paths = glob.glob(os.path.join(ROOT, "**", "*.md"), recursive=True)
    return sorted(path for path in (os.path.relpath(path, ROOT) for path in paths) if not path.startswith("build" + os.sep))


def read(*path):
    with open(os.path.join(ROOT, *path)) as file:
        return file.read()


def prose(text):
    """The text without its fenced blocks."""
    return FENCE.sub("", text)


def anchors(text):
    """Names of its headings as a link gives them."""
    def name(heading):
        plain = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower())
        return plain.strip().replace(" ", "-")

    return {name(heading) for heading in HEADING.findall(prose(text))}


def links(text):
    """Targets within the repository: (path, anchor), either may be empty."""
    targets = (target for target in LINK.findall(prose(text)) if "://" not in target)
    return [target.partition("#")[::2] for target in targets]


def section(text, heading):
    """What stands under a heading of the second level."""
    return re.split(rf"^## {re.escape(heading)}$", text, flags=re.M)[1].split("\n## ")[0]


def rows(text):
    """Cells of each row of its tables, without the heads. A pipe within a span parts nothing."""
    out = []
    for line in text.splitlines():
        if re.match(r"\|[-| ]+\|$", line):
            out.pop()  # the line before it was a head
        elif line.startswith("|"):
            cells = re.split(r"\|(?=(?:[^`]*`[^`]*`)*[^`]*$)", line)
            out.append([cell.strip() for cell in cells[1:-1]])
    return out


def words_of(command):
    return shlex.split(command, comments=True)


def fenced_commands(text):
    """Each command of the shell blocks on one line, without its comment."""
    out = []
    for language, block in FENCE.findall(text):
        if language not in ("sh", "console"):
            continue
        for line in block.replace("\\\n", " ").splitlines():
            line = re.sub(r"\s+#.*$", "", line.removeprefix("$ ")).strip()
            if line and not line.startswith("#"):
                out.append(line)
    return out


def program(command):
    """The words behind `lmcache`, wherever its binary lies and whatever starts it; none if it is not there."""
    words = words_of(command)
    for at, word in enumerate(words[:-1]):
        if os.path.basename(word) == "lmcache" and "=" not in word:
            return words[at + 1:]
    return []


def mentioned_commands(text):
    """Spans of the running text that call `lmcache` with something."""
    spans = (span for span in SPAN.findall(prose(text)) if span.count('"') % 2 == 0 and span.count("'") % 2 == 0)
    return [span for span in spans if program(span)]
