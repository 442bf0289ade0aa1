#!/usr/bin/env python3
"""Writes the table of tests that prove reference points: one line {point, "Suite.Test", refusal, kms_store, skippable} per

    POINT_TEST(Fixture, Km_1, accepts, DeliversOneKeyToBothEnds)

in tests/system/*.cpp. The macro (tests/system/point_test.hpp) makes the gtest name from the same words, so a test that is renamed
or removed changes what `qanat points` claims. The table is made before any test has run: of tests whose source skips them on machines that do not
allow them, it says so.

Tests of the points in ON_BOTH, and those of ALSO_ON_BOTH, are run twice: with the KMSs' state in files, and in PostgreSQL. `point_evidence.py ROOT --postgresql`
tells ctest which these are, one line SUITE=FILTER per suite (tests/CMakeLists.txt)."""
import pathlib
import re
import sys

PATTERN = re.compile(r"^POINT_TEST\(\s*(\w+),\s*([A-Z][a-z]*)_(\d+),\s*(accepts|refuses),\s*(\w+)\)", re.M)
# Points at which a KMS stands.
ON_BOTH = {"Mo-2", "Km-1", "Km-2", "Km-3", "Ma-2", "Mc-2", "Id-1", "Pm-1", "Ua-1", "Cq-1", "Cd-1", "Dx-1"}
# Tests that are no evidence of a point, and rest on the KMS's database all the same: what SAEs have of a KMS (ETSI GS QKD 014, SKIP), and a KMS that dies.
ALSO_ON_BOTH = {"KmsSaeSystem": "*", "CrashAtEveryStep": "The*Kms*", "CrashDuringKmsSaeDelivery": "*"}
# A source with a server of its own puts its KMS there in any case.
OWN_SERVER = '#include "postgresql.hpp"'


def tests_in(text: str):
    """(suite, words of the point, test, is a refusal, stores) of each test in a source."""
    for suite, letters, number, verdict, name in PATTERN.findall(text):
        stores = ["sqlite", "postgresql"] if f"{letters}-{number}" in ON_BOTH else ["sqlite"]
        if OWN_SERVER in text:
            stores = ["postgresql"]
        yield suite, (letters, number), f"{letters}_{number}_{verdict}_{name}", verdict == "refuses", stores


def rows_of(text: str) -> list[str]:
    """Rows of the table."""
    skippable = "true" if "GTEST_SKIP" in text else "false"
    return [
        f'    {{"{letters}-{number}", "{suite}.{test}", {"true" if refusal else "false"}, KmsStore::{store}, {skippable}}},\n'
        for suite, (letters, number), test, refusal, stores in tests_in(text)
        for store in stores
    ]


def filters_of(text: str) -> dict[str, list[str]]:
    """By suite, the patterns of the tests that run with both stores."""
    out: dict[str, list[str]] = {}
    for suite, (letters, number), _, _, stores in tests_in(text):
        pattern = f"{suite}.{letters}_{number}_*"
        if len(stores) > 1 and pattern not in out.setdefault(suite, []):
            out[suite].append(pattern)
    for suite in set(re.findall(r"^(?:TEST_F|POINT_TEST)\((\w+),", text, re.M)) & ALSO_ON_BOTH.keys():
        patterns = out.setdefault(suite, [])
        if ALSO_ON_BOTH[suite] == "*":
            patterns.clear()
        patterns.append(f"{suite}.{ALSO_ON_BOTH[suite]}")
    return {suite: patterns for suite, patterns in out.items() if patterns}


def main() -> int:
    root = pathlib.Path(sys.argv[1])
    texts = [source.read_text() for source in sorted((root / "tests" / "system").glob("*.cpp"))]
    if sys.argv[2] == "--postgresql":
        for text in texts:
            for suite, patterns in filters_of(text).items():
                print(f"{suite}={':'.join(patterns)}")
        return 0
    out = pathlib.Path(sys.argv[2])
    table = "".join(row for text in texts for row in rows_of(text))
    if not out.exists() or out.read_text() != table:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
