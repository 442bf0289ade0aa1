#!/usr/bin/env python3
"""clang-tidy over every source of src and apps, joined as the build joins them (CMAKE_UNITY_BUILD), so that the libraries' headers are paid for once per
ten sources. They are pasted into one file, not included: the static analyser passes over what is included. A joined file that was clean is looked at again
only when one of its sources, a header that they include, its command, .clang-tidy or clang-tidy itself has changed: what was clean is remembered in the
user's cache by a hash of all these.

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
def folders_of(root):
    """The tree, and what its .deps lead to (setup builds these in the user's cache, elsewhere for each user) -> {folder: name}."""
    deps = pathlib.Path(root, ".deps")
    return {root: ""} | {os.path.realpath(one): "/.deps/" + one.name for one in (deps.iterdir() if deps.is_dir() else ())}


@functools.lru_cache(maxsize=None)
def digest_of(path, root):
    """Sources and the libraries that setup builds by content, whatever it says of where it is, and by their place in the tree; what the system brings by size and time."""
    for folder, name in folders_of(root).items():
        if path.startswith(folder + os.sep):
            return name + path[len(folder):] + hashlib.sha256(pathlib.Path(path).read_bytes().replace(folder.encode(), b"HERE")).hexdigest()
    status = os.stat(path)
    return f"{path} {status.st_size} {status.st_mtime_ns}"


def key_of(entry, prerequisites, root, common):
    whole = hashlib.sha256(common.encode())
    command = entry["command"]
    named = {folder: "ROOT" + name for folder, name in folders_of(root).items()} | {entry["directory"]: "BUILD"}
    for folder in sorted(named, key=len, reverse=True):  # a cache may stand beside the tree, under a name that goes on
        command = command.replace(folder, named[folder])
    whole.update(command.encode())
    for path in sorted({os.path.realpath(os.path.join(entry["directory"], name)) for name in prerequisites}):
        whole.update(digest_of(path, root).encode())
    return whole.hexdigest()


def is_ours(path, root, build):
    """A source of src or apps, or several of them joined."""
    folders = ("src", "apps")
    if any(path.startswith(os.path.join(build, folder) + os.sep) for folder in folders):
        return os.sep + "Unity" + os.sep in path
    return any(path.startswith(os.path.join(root, folder) + os.sep) for folder in folders)


def paste(text, read):
    """A file that includes sources -> (one that has their text instead, [(first line of it, source)])."""
    lines, places = [], []
    for line in text.splitlines():
        included = re.match(r'\s*#include "(/.*\.cpp)"', line)  # a joined file names its sources by their whole path
        if included:
            places.append((len(lines) + 1, included.group(1)))
            lines += read(included.group(1)).splitlines()
        else:
            lines.append(line)
    return "\n".join(lines) + "\n", places


def plain(command):
    """The compiler's command, without what stands before the compiler, that reads every header itself: precompiled ones are another front end's."""
    command = re.sub(r"^(\S+ -E env \S+ )?\S*ccache(?= )", "", command)
    return re.sub(r" -Winvalid-pch| -Xclang -include(-pch)? -Xclang \S*cmake_pch\.hxx(\.pch)?", "", command)


def name_sources(findings, pasted, places):
    """Findings in the pasted file -> findings in the sources."""
    def original(match):
        line = int(match.group(1))
        first, source = max(((first, source) for first, source in places if first <= line), default=(1, pasted))
        return f"{source}:{line - first + 1}:"
    return re.sub(re.escape(pasted) + r":(\d+):", original, findings)


def look_at(entry, folder, places):
    run = subprocess.run([CLANG_TIDY, "-quiet", "-p", folder, entry["file"]], capture_output=True, text=True, check=False)
    text = run.stdout + (run.stderr if run.returncode and not run.stdout else "")
    return entry, run.returncode, name_sources(text, entry["file"], places)


def main():
    if len(sys.argv) != 2 or not os.path.exists(os.path.join(sys.argv[1], "compile_commands.json")):
        sys.exit("usage: lint.py BUILD_DIR, with a compile_commands.json in it (cmake --preset release)")
    build, root = os.path.realpath(sys.argv[1]), os.path.realpath(os.path.join(os.path.dirname(__file__), ".."))
    folder = os.path.join(build, "lint")
    os.makedirs(folder, exist_ok=True)
    entries, places = [], {}
    for entry in json.loads(pathlib.Path(build, "compile_commands.json").read_text()):
        if not is_ours(entry["file"], root, build):
            continue
        name = re.sub(r"[^A-Za-z0-9]+", "_", os.path.relpath(entry["file"], build)).strip("_") + ".cpp"
        pasted = os.path.join(folder, name)
        text, places[pasted] = paste(pathlib.Path(entry["file"]).read_text(), lambda path: pathlib.Path(path).read_text())
        pathlib.Path(pasted).write_text(text)
        entries.append({"directory": entry["directory"], "command": plain(entry["command"]).replace(entry["file"], pasted), "file": pasted})
    database = os.path.join(folder, "compile_commands.json")
    pathlib.Path(database).write_text(json.dumps(entries))
    jobs = str(os.cpu_count() or 2)
    rules = parse_make(subprocess.run([SCAN_DEPS, "-j", jobs, "-compilation-database", database], capture_output=True, text=True, check=True).stdout)
    version = subprocess.run([CLANG_TIDY, "--version"], capture_output=True, text=True, check=True).stdout
    common = version + pathlib.Path(root, ".clang-tidy").read_text()

    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "qanat" / "clang-tidy"
    cache.mkdir(parents=True, exist_ok=True)
    keys = {entry["file"]: key_of(entry, rules[entry["file"]], root, common) for entry in entries}
    left = [entry for entry in entries if not (cache / keys[entry["file"]]).exists()]
    print(f"clang-tidy: {len(entries)} joined sources, {len(left)} to look at", flush=True)
    findings = 0
    with concurrent.futures.ThreadPoolExecutor(int(jobs)) as pool:
        for entry, code, text in pool.map(lambda one: look_at(one, folder, places[one["file"]]), left):
            if code == 0:
                (cache / keys[entry["file"]]).touch()
            else:
                findings += 1
                print(text.strip(), flush=True)
    print("clang-tidy: clean" if findings == 0 else f"clang-tidy: findings in {findings} joined sources")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
