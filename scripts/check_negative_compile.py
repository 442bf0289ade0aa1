#!/usr/bin/env python3
"""What must not compile: every tests/negative_compile/*.cpp is compiled and must fail with the text that its first line names
(`// expect: …`), and must compile once the lines between `// offending begin` and `// offending end` are taken out, so that it fails for
the reason it names and for no other. Exit status 1 if one does not keep that."""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FLAGS = ["-std=c++23", "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror", "-ferror-limit=0"]
EXPECT = re.compile(r"^// expect: (\S.*)$")
OFFENDING = re.compile(r"^[ \t]*// offending begin\n(.*?)^[ \t]*// offending end$", re.DOTALL | re.MULTILINE)
COMPILE_SECONDS_MAX = 120


def compile_text(compiler, include, text):
    """(compiled, what the compiler said)"""
    with tempfile.NamedTemporaryFile("w", suffix=".cpp", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        done = subprocess.run([compiler, *FLAGS, f"-I{include}", file.name], capture_output=True, text=True, timeout=COMPILE_SECONDS_MAX)
        return done.returncode == 0, done.stderr


def check_text(name, text, compiler, include):
    """What is wrong with one test, as printable lines."""
    expect = EXPECT.match(text.split("\n", 1)[0])
    if not expect:
        return [f"{name}:1: no `// expect: …` — mend: name the part of the compiler's message that proves the promise"]
    if len(OFFENDING.findall(text)) != 1 or not OFFENDING.search(text).group(1).strip():
        return [f"{name}:1: no offending line — mend: put the one that must not compile between // offending begin and // offending end"]
    compiled, said = compile_text(compiler, include, text)
    if compiled:
        return [f"{name}:1: compiles — mend: the type no longer forbids this; bring the protection back"]
    errors = [line for line in said.splitlines() if " error: " in line]
    if not any(expect.group(1) in line for line in errors):
        return [f"{name}:1: fails for another reason than '{expect.group(1)}': {errors[0] if errors else said.strip()} — mend: see which of both is right"]
    compiled, said = compile_text(compiler, include, OFFENDING.sub("", text))
    if not compiled:
        first = next((line for line in said.splitlines() if " error: " in line), said.strip())
        return [f"{name}:1: does not compile without its offending lines either: {first} — mend: correct the rest of the test"]
    return []


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compiler", default=os.environ.get("CXX", "clang++-19"))
    parser.add_argument("--root", type=Path, default=ROOT)
    arguments = parser.parse_args()
    files = sorted((arguments.root / "tests/negative_compile").glob("*.cpp"))
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        found = [line for lines in pool.map(
            lambda file: check_text(file.relative_to(arguments.root), file.read_text(encoding="utf-8"), arguments.compiler,
                                    arguments.root / "src"), files) for line in lines]
    if not files:
        found.append("tests/negative_compile: has no tests — mend: the promises of the types must be proved")
    for line in found:
        print(line)
    print(f"check_negative_compile: {len(files)} tests, {len(found)} violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
