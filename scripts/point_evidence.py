#!/usr/bin/env python3
"""Writes the table of tests that prove reference points: one line {point, "Suite.Test", refusal} per

    POINT_TEST(Fixture, Km_1, accepts, DeliversOneKeyToBothEnds)

in tests/system/*.cpp. The macro (tests/system/point_test.hpp) makes the gtest name from the same words, so a test that is renamed
or removed changes what `qanat points` claims."""
import pathlib
import re
import sys

PATTERN = re.compile(r"^POINT_TEST\(\s*(\w+),\s*([A-Z][a-z]*)_(\d+),\s*(accepts|refuses),\s*(\w+)\)", re.M)


def main() -> int:
    root, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    rows = []
    for source in sorted((root / "tests" / "system").glob("*.cpp")):
        for fixture, letters, number, verdict, name in PATTERN.findall(source.read_text()):
            test = f"{fixture}.{letters}_{number}_{verdict}_{name}"
            rows.append(f'    {{"{letters}-{number}", "{test}", {"true" if verdict == "refuses" else "false"}}},\n')
    text = "".join(rows)
    if not out.exists() or out.read_text() != text:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
