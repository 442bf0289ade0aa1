#!/usr/bin/env python3
"""The part of the style guide that a machine can hold: banned names and calls with their replacement, file length, headers, counted
reveal() per layer, no addresses that only work on one machine. Prints each violation with its mend; exit status 1 if there is one."""

import argparse
import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

from check_layers import ROOT, Layers

LINES_MAX = 500
CPP_SUFFIXES = {".hpp", ".cpp", ".h", ".c"}
CPP_FOLDERS = ("src", "apps", "tests", "bench")
BUDGET_FILE = "scripts/reveal_budget.toml"

BANNED_WORDS = {
    "util": "name the file or type after what it does",
    "utils": "name the file or type after what it does",
    "helper": "name the file or type after what it does",
    "helpers": "name the file or type after what it does",
    "misc": "split it by reason to change and name each part",
    "mgr": "write the domain's noun: pool, registry, directory, schedule",
    "manager": "write the domain's noun: pool, registry, directory, schedule",
}

# (where, pattern on code without comments and texts, what is wrong, mend)
CODE_RULES = [
    (("src",), re.compile(r"\bstd\s*::\s*cout\b"), "std::cout in a library", "log through node/, or return the text to apps/"),
    (("tests",), re.compile(r"\b(sleep_for|sleep_until|usleep|nanosleep)\b|::sleep\s*\("), "a test that sleeps",
     "wait on a condition with a deadline"),
    (("src", "apps", "tests", "bench"), re.compile(r"\.\s*detach\s*\(\s*\)"), "a detached thread",
     "give it an owner that joins it (std::jthread as a member, stop())"),
]
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
CATCH_ALL = re.compile(r"\bcatch\s*\(\s*\.\.\.\s*\)")
RETHROWS = re.compile(r"\bthrow\s*;|\bcurrent_exception\s*\(")
REVEAL = re.compile(r"\breveal\s*\(")
IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

# An absolute path below a home or a work folder, where no path or address goes on to the left of it.
MACHINE_PATH = re.compile(r"(?<![\w.})~/:-])/(?:home|wor" r"k|root|Users)/[\w.-]")
REGISTRY_HOST = re.compile(
    r"\b(?:registry\.npm" r"js\.org|pypi\." r"org|files\.python" r"hosted\.org|proxy\.gol" r"ang\.org|index\.crates\." r"io|gh" r"cr\.io|docker\." r"io)\b"
    r"|://[^/\s\"']*\b(?:artifactory|nexus|mirror|registry)\b"
    r"|://[^/\s\"']+\.(?:internal|corp|lan)\b")
ADDRESS_MEND = "take it from the environment or the machine's own settings, or derive it from the checkout"


def blank(match):
    return re.sub(r"[^\n]", " ", match.group(0))


TOKENS = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<mark>[^()\\ ]{0,16})\(.*?\)(?P=mark)"|"(?:\\.|[^"\\\n])*"|(?<![0-9A-Za-z_])\'(?:\\.|[^\'\\\n])+\'', re.DOTALL)


def code_only(text):
    """The text with comments and literals blanked out, line for line. #include lines keep their names."""
    lines = TOKENS.sub(blank, text).split("\n")
    for index, line in enumerate(text.split("\n")):
        if re.match(r"\s*#\s*include\b", line):
            lines[index] = ""
    return "\n".join(lines)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def banned_word(name):
    return next((word.lower() for word in WORDS.findall(name) if word.lower() in BANNED_WORDS), None)


def block_after(code, position):
    """The text between the next { and its }."""
    start = code.find("{", position)
    depth = 0
    for at in range(max(start, 0), len(code)):
        depth += {"{": 1, "}": -1}.get(code[at], 0)
        if depth == 0:
            return code[start:at]
    return code[position:]


def check_names(path, code):
    found = []
    for part in path.parts:
        if word := banned_word(part.split(".")[0]):
            found.append((1, f"'{word}' in the file's path", BANNED_WORDS[word]))
    seen = set()
    for match in IDENTIFIER.finditer(code):
        name = match.group(0)
        if name not in seen and (word := banned_word(name)):
            found.append((line_of(code, match.start()), f"'{word}' in the name {name}", BANNED_WORDS[word]))
        seen.add(name)
    return found


def check_calls(path, code):
    found = []
    for folders, pattern, what, mend in CODE_RULES:
        if path.parts[0] in folders:
            found += [(line_of(code, match.start()), what, mend) for match in pattern.finditer(code)]
    for match in CATCH_ALL.finditer(code):
        if not RETHROWS.search(block_after(code, match.end())):
            found.append((line_of(code, match.start()), "catch (...) that swallows what it caught",
                          "catch std::exception where a library's exceptions end and return fail(…), or rethrow"))
    return found


def check_shape(path, text):
    found = []
    lines = text.splitlines()
    if path.parts[0] == "src" and len(lines) > LINES_MAX:
        found.append((LINES_MAX + 1, f"{len(lines)} lines, more than {LINES_MAX}", "split the file by reason to change"))
    if path.parts[0] == "src" and path.suffix in {".hpp", ".h"}:
        if not lines or not lines[0].startswith(("//", "/*")):
            found.append((1, "no comment at the start of the header", "say in one or two lines what the header is for, and what not"))
        if not any(line.strip() == "#pragma once" for line in lines):
            found.append((1, "no #pragma once", "write it after the comment at the start"))
    return found


def check_anything(text):
    """Rules for every text file of the repository."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if UNFINISHED.search(line):
            found.append((number, "unfinished work is marked", "finish it, or write an issue and take the mark out"))
        if MACHINE_PATH.search(line):
            found.append((number, "an absolute path of one machine", ADDRESS_MEND))
        if REGISTRY_HOST.search(line):
            found.append((number, "the address of a package registry", ADDRESS_MEND))
    return found


def check_text(path, text):
    """Violations in one file (path relative to the root) as (line, what, mend)."""
    found = check_anything(text)
    if path.suffix in CPP_SUFFIXES and path.parts[0] in CPP_FOLDERS:
        code = code_only(text)
        found += check_names(path, code) + check_calls(path, code) + check_shape(path, text)
    return sorted(found)


def check_reveals(counts, budget):
    """counts and budget: layer -> number of places that read a secret."""
    found = []
    for layer, count in sorted(counts.items()):
        allowed = budget.get(layer, 0)
        if count > allowed:
            found.append(f"{BUDGET_FILE}:1: {layer} reads secrets in {count} places, {allowed} are reviewed — mend: pass the Secret on instead of "
                         f"revealing it; if the place is right, raise {layer} to {count} in a change of its own that says why")
    return found


def repository_files(root):
    listed = subprocess.run(["git", "-C", str(root), "ls-files", "-co", "--exclude-standard", "-z"], capture_output=True, check=True).stdout
    return [Path(name) for name in sorted(listed.decode().split("\0")) if name and (root / name).is_file()]


def read_text(path):
    """The file's text, or None if it is not text."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def check_tree(root):
    layers = Layers(tomllib.loads((root / "layers.toml").read_text(encoding="utf-8")))
    counts = Counter()
    found = []
    files = repository_files(root)
    for path in files:
        text = read_text(root / path)
        if text is None:
            continue
        found += [f"{path}:{line}: {what} — mend: {mend}" for line, what, mend in check_text(path, text)]
        if path.suffix in CPP_SUFFIXES and (layer := layers.layer_of(path)):
            counts[layer] += len(REVEAL.findall(code_only(text)))
    budget = tomllib.loads((root / BUDGET_FILE).read_text(encoding="utf-8"))["reveal"]
    return found + check_reveals(counts, budget), counts, len(files)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=ROOT)
    parser.add_argument("--counts", action="store_true", help="print the number of reveal() per layer, as the budget file holds it")
    arguments = parser.parse_args()
    found, counts, files = check_tree(arguments.root)
    if arguments.counts:
        print("\n".join(f"{layer} = {count}" for layer, count in sorted(counts.items()) if count))
        return 0
    for line in found:
        print(line)
    print(f"check_style: {files} files, {len(found)} violations, {counts.total()} places read a secret")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
