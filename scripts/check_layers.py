#!/usr/bin/env python3
"""Holds every #include in src/ and apps/ against layers.toml. Prints each violation with its mend; exit status 1 if there is one."""

import argparse
import re
import sys
import tomllib
from pathlib import Path

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')
ROOT = Path(__file__).resolve().parent.parent
SOURCE_SUFFIXES = {".hpp", ".cpp", ".h", ".c"}


class Layers:
    def __init__(self, table):
        self.folder_of = {name: Path(layer["folder"]) for name, layer in table["layers"].items()}
        self.may_include = {name: set(layer["may_include"]) for name, layer in table["layers"].items()}
        self.private = {entry["header"]: entry for entry in table.get("private", [])}
        self.generated = {entry["header"]: entry["layers"] for entry in table.get("generated", [])}
        self.owners = sorted(
            ((prefix, owner) for owner in table["owners"] for prefix in owner["headers"]), key=lambda pair: -len(pair[0]))
        self._check_table()

    def _check_table(self):
        known = set(self.folder_of)
        for name, allowed in self.may_include.items():
            if not allowed <= known:
                raise ValueError(f"layers.toml: layers.{name} names no layer: {', '.join(sorted(allowed - known))}")
        for name, allowed in self.may_include.items():
            for other in allowed:
                if name in self.may_include[other]:
                    raise ValueError(f"layers.toml: {name} and {other} may include each other")

    def layer_of(self, path):
        """The layer whose folder contains the path (relative to the root), or None."""
        containing = [name for name, folder in self.folder_of.items() if path.is_relative_to(folder)]
        return max(containing, key=lambda name: len(self.folder_of[name].parts), default=None)


def violation_of_own(layers, layer, path, header):
    """What is wrong with an #include "header", as (what the layer may do, mend), or None."""
    if layer in layers.generated.get(header, []):
        return None
    target = layers.layer_of(Path("src") / header)
    if target is None:
        # Not written relative to src/: the target's layer cannot be seen in the line. apps/ is not below src/ and may name its own files.
        if layer == "apps" and ".." not in Path(header).parts and (ROOT / path.parent / header).exists():
            return None
        return "headers of ours stand in quotes relative to src/", "write the path from src/ on, third-party headers in angle brackets"
    private = layers.private.get(header)
    if private and layer not in private["layers"]:
        return f"{header} is private to {' and '.join(private['layers'])}", private["mend"]
    if target != layer and target not in layers.may_include[layer]:
        allowed = ", ".join(name for name in layers.may_include if name in layers.may_include[layer]) or "nothing else"
        mend = f"move what both need to the left of {layer}, or say it through points/"
        return f"{layer} may include only itself and {allowed}", mend
    return None


def violation_of_foreign(layers, layer, header):
    for prefix, owner in layers.owners:
        if header.startswith(prefix):
            if layer in owner["layers"]:
                return None
            return f"{prefix} belongs to {' and '.join(owner['layers'])}, {layer} may not include it", owner["mend"]
    return None


def check_text(layers, path, text):
    """Violations in one file (path relative to the root) as printable lines."""
    layer = layers.layer_of(path)
    if layer is None:
        return [f"{path}:1: is in no layer of layers.toml — mend: move it into a layer's folder, or add the layer"]
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        own, foreign = match.groups()
        wrong = violation_of_own(layers, layer, path, own) if own else None
        if own is None or wrong is not None:
            # Quotes are no way around the owners, and angle brackets no way around the layers.
            by_owner = violation_of_foreign(layers, layer, own or foreign)
            wrong = by_owner or wrong
        if foreign and layers.layer_of(Path("src") / foreign):
            wrong = violation_of_own(layers, layer, path, foreign) or ("headers of ours stand in quotes", f'write "{foreign}"')
        if wrong:
            found.append(f"{path}:{number}: includes {own or foreign}; {wrong[0]} — mend: {wrong[1]}")
    return found


def check_tree(root):
    with open(root / "layers.toml", "rb") as file:
        layers = Layers(tomllib.load(file))
    found = []
    count = 0
    for folder in ("src", "apps"):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in SOURCE_SUFFIXES:
                count += 1
                found += check_text(layers, path.relative_to(root), path.read_text(encoding="utf-8"))
    return found, count


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=ROOT)
    found, count = check_tree(parser.parse_args().root)
    for line in found:
        print(line)
    print(f"check_layers: {count} files, {len(found)} violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
