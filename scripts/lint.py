#!/usr/bin/env python3
"""clang-tidy over every source of src and apps, joined as the build joins them. A file that was clean is looked at again only when it, a header that it includes, its
command, .clang-tidy or clang-tidy itself has changed: what was clean is remembered in the user's cache by a hash of all these.

usage: lint.py BUILD_DIR     (one that is configured with CMAKE_EXPORT_COMPILE_COMMANDS)
"""

import concurrent.futures
import functools
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys

CLANG_TIDY = "clang-tidy-19"
SCAN_DEPS = "clang-scan-deps-19"
# Where sources are joined they are included, and the static analyser passes over what is.
ARGUMENTS = ["-quiet", "--extra-arg=-Xclang", "--extra-arg=-analyzer-opt-analyze-headers"]


def parse_make(text):
    """Rules as make writes them -> {first prerequisite: [all prerequisites]}."""
    out = {}
    for rule in text.replace("\\\n", " ").splitlines():
        target, separator, names = rule.partition(": ")
        words = re.findall(r"(?:\\.|\S)+", names) if separator else []
        if words:
            words = [word.replace("\\ ", " ") for word in words]
            out[os.path.realpath(words[0])] = words
    return out


@functools.lru_cache(maxsize=None)
def digest_of(path, root):
    """Sources by content and by their place in the tree, what the system brings by size and time."""
    if path.startswith(root + os.sep):
        return path[len(root):] + hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
    status = os.stat(path)
    return f"{path} {status.st_size} {status.st_mtime_ns}"


def key_of(entry, prerequisites, root, common):
    whole = hashlib.sha256(common.encode())
    command = entry["command"].replace(entry["directory"], "BUILD").replace(root, "ROOT")
    whole.update(re.sub(r"\S*ccache\S*", "", command).encode())
    for path in sorted({os.path.realpath(os.path.join(entry["directory"], name)) for name in prerequisites}):
        whole.update(digest_of(path, root).encode())
    return whole.hexdigest()


def is_ours(path, root, build):
    """A source of src or apps, or several of them joined."""
    folders = ("src", "apps")
    if any(path.startswith(os.path.join(build, folder) + os.sep) for folder in folders):
        return os.sep + "Unity" + os.sep in path
    return any(path.startswith(os.path.join(root, folder) + os.sep) for folder in folders)


def look_at(entry, build):
    run = subprocess.run([CLANG_TIDY, *ARGUMENTS, "-p", build, entry["file"]], capture_output=True, text=True, check=False)
    return entry, run.returncode, run.stdout + (run.stderr if run.returncode and not run.stdout else "")


def main():
    if len(sys.argv) != 2 or not os.path.exists(os.path.join(sys.argv[1], "compile_commands.json")):
        sys.exit("usage: lint.py BUILD_DIR, with a compile_commands.json in it (cmake --preset release)")
    build, root = os.path.realpath(sys.argv[1]), os.path.realpath(os.path.join(os.path.dirname(__file__), ".."))
    database = os.path.join(build, "compile_commands.json")
    entries = {}
    for entry in json.loads(pathlib.Path(database).read_text()):
        if is_ours(entry["file"], root, build):
            entries.setdefault(entry["file"], entry)
    chosen = os.path.join(build, "lint_commands.json")
    pathlib.Path(chosen).write_text(json.dumps(list(entries.values())))
    jobs = str(os.cpu_count() or 2)
    rules = parse_make(subprocess.run([SCAN_DEPS, "-j", jobs, "-compilation-database", chosen], capture_output=True, text=True, check=True).stdout)
    version = subprocess.run([CLANG_TIDY, "--version"], capture_output=True, text=True, check=True).stdout
    common = version + " ".join(ARGUMENTS) + pathlib.Path(root, ".clang-tidy").read_text()

    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "qanat" / "clang-tidy"
    cache.mkdir(parents=True, exist_ok=True)
    keys = {name: key_of(entry, rules[os.path.realpath(name)], root, common) for name, entry in entries.items()}
    left = [entry for name, entry in entries.items() if not (cache / keys[name]).exists()]
    print(f"clang-tidy: {len(entries)} files, {len(left)} to look at", flush=True)
    findings = 0
    with concurrent.futures.ThreadPoolExecutor(int(jobs)) as pool:
        for entry, code, text in pool.map(lambda one: look_at(one, build), left):
            if code == 0:
                (cache / keys[entry["file"]]).touch()
            else:
                findings += 1
                print(text.strip(), flush=True)
    print("clang-tidy: clean" if findings == 0 else f"clang-tidy: findings in {findings} files")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
