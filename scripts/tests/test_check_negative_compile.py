"""check_negative_compile.py sees a test that compiles, one that fails for another reason, and one that is broken by itself."""

import os
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from check_negative_compile import check_text  # noqa: E402

COMPILER = os.environ.get("CXX", "clang++-19")


def case(expect, offending, rest="int x = 1;"):
    return f"// expect: {expect}\n{rest}\n// offending begin\n{offending}\n// offending end\n"


class NegativeCompileTest(unittest.TestCase):
    def check(self, text):
        return check_text("t.cpp", text, COMPILER, ROOT / "src")

    def assert_found(self, text, part):
        found = self.check(text)
        self.assertEqual(len(found), 1, found)
        self.assertIn(part, found[0])
        self.assertIn(" — mend: ", found[0])

    def test_promise_that_holds(self):
        self.assertEqual(self.check(case("undeclared identifier 'y'", "int z = y;")), [])

    def test_offending_lines_that_compile(self):
        self.assert_found(case("undeclared identifier 'y'", "int z = x;"), "t.cpp:1: compiles")

    def test_failure_for_another_reason(self):
        self.assert_found(case("undeclared identifier 'w'", "int z = y;"), "fails for another reason")

    def test_rest_that_does_not_compile(self):
        self.assert_found(case("undeclared identifier 'y'", "int z = y;", rest="int x = nothing;"), "without its offending lines")

    def test_missing_marks(self):
        self.assert_found("int x = y;\n", "no `// expect")
        self.assert_found("// expect: y\nint x = y;\n", "no offending line")
        self.assert_found(case("y", ""), "no offending line")


if __name__ == "__main__":
    unittest.main()
