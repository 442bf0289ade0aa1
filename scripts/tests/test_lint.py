import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
import lint


class LintTest(unittest.TestCase):
    def test_rules_of_make_are_read_over_line_ends(self):
        rules = lint.parse_make("a.o: /r/a.cpp \\\n  /r/a.hpp \\\n  /r/with\\ space.hpp\nb.o: /r/b.cpp\n")
        self.assertEqual(rules["/r/a.cpp"], ["/r/a.cpp", "/r/a.hpp", "/r/with space.hpp"])
        self.assertEqual(rules["/r/b.cpp"], ["/r/b.cpp"])

    def test_a_file_is_looked_at_again_when_a_header_changes_and_not_in_another_clone(self):
        def key(folder, header, command="clang++ -c"):
            os.makedirs(os.path.join(folder, "build"), exist_ok=True)
            for name, text in (("a.cpp", "#include"), ("a.hpp", header)):
                with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                    file.write(text)
            lint.digest_of.cache_clear()
            entry = {"directory": os.path.join(folder, "build"), "command": f"{command} {folder}/a.cpp", "file": f"{folder}/a.cpp"}
            return lint.key_of(entry, [f"{folder}/a.cpp", "../a.hpp"], folder, "version")

        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
            one, other = os.path.realpath(one), os.path.realpath(other)
            first = key(one, "int a;")
            self.assertEqual(first, key(one, "int a;"))
            self.assertEqual(first, key(other, "int a;"))
            self.assertNotEqual(first, key(one, "int b;"))
            self.assertNotEqual(first, key(one, "int a;", "clang++ -O2 -c"))

    def test_a_library_that_setup_built_counts_by_its_content_wherever_it_is(self):
        def key(folder, cache, header):
            os.makedirs(os.path.join(folder, ".deps"))
            os.makedirs(os.path.join(cache, "botan-3"))
            os.symlink(os.path.join(cache, "botan-3"), os.path.join(folder, ".deps", "botan"))
            with open(os.path.join(cache, "botan-3", "aes.h"), "w", encoding="utf-8") as file:
                file.write(header + f'#define PREFIX "{cache}/botan-3"')
            return lint.key_of({"directory": f"{folder}/build", "command": f"clang++ -isystem {cache}/botan-3", "file": "a.cpp"}, ["../.deps/botan/aes.h"], folder, "version")

        with tempfile.TemporaryDirectory() as base:
            base = os.path.realpath(base)
            first = key(f"{base}/one", f"{base}/cache-one", "int a;")
            self.assertEqual(first, key(f"{base}/two", f"{base}/two-cache", "int a;"))
            self.assertNotEqual(first, key(f"{base}/three", f"{base}/cache-three", "int b;"))

    def test_clang_tidy_gets_the_compilers_own_command_and_reads_all_headers(self):
        precompiled = " -Winvalid-pch -Xclang -include-pch -Xclang /b/cmake_pch.hxx.pch -Xclang -include -Xclang /b/cmake_pch.hxx"
        for launcher in ("", "/usr/bin/ccache ", "/usr/bin/cmake -E env CCACHE_SLOPPINESS=pch_defines /usr/bin/ccache "):
            for headers in ("", precompiled):
                command = lint.plain(f"{launcher}/usr/bin/clang++-19 -I/b{headers} -Xclang -fx -c a.cpp")
                self.assertEqual(command.strip(), "/usr/bin/clang++-19 -I/b -Xclang -fx -c a.cpp")

    def test_joined_sources_are_ours_and_tests_and_header_checks_are_not(self):
        def ours(path):
            return lint.is_ours(path, "/r", "/r/build/release")

        self.assertTrue(ours("/r/src/net/a.cpp"))
        self.assertTrue(ours("/r/build/release/src/CMakeFiles/qanat_net.dir/Unity/unity_0_cxx.cxx"))
        self.assertFalse(ours("/r/build/release/tests/CMakeFiles/unit_net.dir/Unity/unity_0_cxx.cxx"))
        self.assertFalse(ours("/r/build/release/src/qanat_net_verify_interface_header_sets/net/a.hpp.cxx"))
        self.assertFalse(ours("/r/tests/unit/net/a.cpp"))

    def test_findings_in_pasted_text_are_named_by_their_source(self):
        text, places = lint.paste('/* made */\n\n#include "/r/a.cpp"\n\n#include "/r/b.cpp"\n', {"/r/a.cpp": "a1\na2\n", "/r/b.cpp": "b1\n"}.get)
        self.assertEqual(text.splitlines(), ["/* made */", "", "a1", "a2", "", "b1"])
        found = lint.name_sources("/x/p.cpp:4:7: error: one\n/x/p.cpp:6:1: note: two\n/usr/include/c.h:3:1: note\n", "/x/p.cpp", places)
        self.assertEqual(found, "/r/a.cpp:2:7: error: one\n/r/b.cpp:1:1: note: two\n/usr/include/c.h:3:1: note\n")


if __name__ == "__main__":
    unittest.main()
