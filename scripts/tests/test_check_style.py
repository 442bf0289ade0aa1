"""check_style.py finds each kind of violation and passes what is allowed. Offending texts are put together here so that this file
itself passes."""

import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from check_style import check_reveals, check_text, code_only  # noqa: E402

HEADER = "// What for.\n#pragma once\n"


class StyleTest(unittest.TestCase):
    def assert_found(self, path, text, line, part):
        found = check_text(Path(path), text)
        self.assertEqual([(number, part in what) for number, what, _ in found], [(line, True)], found)
        self.assertTrue(found[0][2])

    def assert_clean(self, path, text):
        self.assertEqual(check_text(Path(path), text), [])

    def test_banned_words_in_names_of_every_notation(self):
        for name in ["key_manager", "KeyManager", "keyManager", "string_utils", "HTTPHelper", "misc", "k_mgr_"]:
            self.assert_found("src/base/x.cpp", f"int {name} = 1;\n", 1, f"in the name {name}")
        self.assert_found("src/base/utils.cpp", "", 1, "in the file's path")
        self.assert_found("tests/unit/base/secret_helper.hpp", HEADER, 1, "in the file's path")

    def test_banned_words_are_allowed_in_prose_and_inside_other_words(self):
        self.assert_clean("src/base/x.cpp", '// the quantum key manager\nconst char* x = "key manager";\nint utility = miscellany + managers_;\n')

    def test_unfinished_work_in_any_file(self):
        for mark in ["TO" + "DO", "FIX" + "ME", "XX" + "X"]:
            self.assert_found("src/base/x.cpp", f"int a;\nint b;  // {mark}: later\n", 2, "unfinished")
            self.assert_found("docs/x.md", f"{mark}\n", 1, "unfinished")
        self.assert_clean("src/base/x.cpp", 'mkdtemp("x-XX' + 'XXXX");\n')

    def test_catch_all_must_rethrow(self):
        self.assert_found("src/net/x.cpp", "void f() {\n  try { g(); } catch (...) {\n    log();\n  }\n  throw;\n}\n", 2, "swallows")
        self.assert_clean("src/net/x.cpp", "void f() {\n  try { g(); } catch (...) {\n    if (x) { undo(); }\n    throw;\n  }\n}\n")
        self.assert_clean("src/net/x.cpp", "try { g(); } catch (...) { failure = std::current_exception(); }\n")
        self.assert_found("src/net/x.cpp", "try { g(); } catch (...) { log(); /* throw; */ }\n", 1, "swallows")

    def test_calls(self):
        self.assert_found("src/net/x.cpp", "\nvoid f() { std::cout << 1; }\n", 2, "std::cout")
        self.assert_clean("apps/qanat/x.cpp", "void f() { std::cout << 1; }\n")
        self.assert_found("tests/unit/net/x.cpp", "std::this_thread::sleep_for(1s);\n", 1, "sleeps")
        self.assert_found("tests/unit/net/x.cpp", "::usleep(1);\n", 1, "sleeps")
        self.assert_clean("src/net/x.cpp", "// never sleep_for\n")
        self.assert_found("src/net/x.cpp", "std::thread(f).detach();\n", 1, "detached")

    def test_file_length(self):
        self.assert_clean("src/net/x.cpp", "int a;\n" * 500)
        self.assert_found("src/net/x.cpp", "int a;\n" * 501, 501, "501 lines")

    def test_header_shape(self):
        self.assert_clean("src/net/x.hpp", HEADER)
        self.assert_found("src/net/x.hpp", "#pragma once\n", 1, "no comment")
        self.assert_found("src/net/x.hpp", "// What for.\n// #pragma once\n", 1, "#pragma once")

    def test_addresses_of_one_machine(self):
        for path in ["/ho" + "me/anna/qanat", "/wo" + "rk/main/src", "/ro" + "ot/.cache"]:
            self.assert_found("Makefile", f"all:\n\tcd {path}\n", 2, "absolute path")
            self.assert_found("src/net/x.cpp", f'const char* x = "{path}";\n', 1, "absolute path")
        self.assert_clean("Makefile", "cd build/wo" + "rk/x $(HOME)/ro" + "ot/x https://example.org/ho" + "me/x\n")
        self.assert_found("package.json", '"https://regis' + 'try.npm' + 'js.org/vite"\n', 1, "registry")
        self.assert_found("package.json", '"https://npm-mir' + 'ror.example/vite"\n', 1, "registry")
        self.assert_found("x.toml", 'index = "https://packages.some.inter' + 'nal/simple"\n', 1, "registry")
        self.assert_clean("x.py", "ErrorCode.internal\n")

    def test_literals_and_comments_are_blanked_line_for_line(self):
        text = 'int a = 1\'000\'000; /* b\nb */ f("c\\"c", \'d\'); R"(e\ne)"; // g\nint h;\n'
        code = code_only(text)
        self.assertEqual([len(line) for line in code.split("\n")], [len(line) for line in text.split("\n")])
        self.assertEqual(code.split(), "int a = 1'000'000; f( , ); ; int h;".split())

    def test_reveal_over_budget_fails_with_the_mend(self):
        self.assertEqual(check_reveals({"crypto": 3, "kms": 0}, {"crypto": 3}), [])
        found = check_reveals({"crypto": 4, "kms": 1}, {"crypto": 3})
        self.assertEqual(len(found), 2)
        self.assertIn("crypto reads secrets in 4 places, 3 are reviewed — mend: ", found[0])


if __name__ == "__main__":
    unittest.main()
