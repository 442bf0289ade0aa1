"""Every key that a reader of settings takes from a configuration file stands in the documents for operators."""

import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# A table of a configuration file: a parameter, or what Config::table() gave.
TABLES = re.compile(r"\bConfig(?:&)? (\w+)(?= =|[,)])")
# What asks one table for the key that it is told, `milliseconds("wk_lifetime_ms", …)`.
READERS = re.compile(r"\bauto (\w+) = \[&?\w*\]\(std::string_view key\b")
KEY = r'"([a-z][a-z0-9_]*)"'
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
NAME = r"[a-z][a-z0-9_]*"


def keys_of(source):
    """Keys and names of tables in the text of a source file."""
    tables = "|".join(set(TABLES.findall(source)))
    if not tables:
        return set()
    out = set(re.findall(rf"\b(?:{tables})\.(?:text|texts|integer|real|flag|table)\({KEY}", source))
    out |= set(re.findall(rf"\b\w+\((?:{tables}), {KEY}", source))
    readers = "|".join(set(READERS.findall(source)))
    return out | (set(re.findall(rf"\b(?:{readers})\({KEY}", source)) if readers else set())


def documented(text):
    """Keys that a document names: where the row of a table begins with them, as `table.key`, or where one is set, `key = …`."""
    out = set()
    for line in text.split("\n"):
        if line.startswith("| `"):
            out |= {word for code in CODE.findall(line.split("|")[1]) if " " not in code for word in re.findall(NAME, code)}
    for code in CODE.findall(text):
        out |= set(re.findall(rf"\b({NAME}) = ", code))
        for name in re.findall(r"\b[a-z][a-z0-9_]*(?:\.[a-z<][a-z0-9_>]*)+", code) + re.findall(r"^\[([a-z0-9_.]+)\]", code, re.MULTILINE):
            out |= set(name.split(".")[1:] or [name])
    return out


class SettingsDocumentedTest(unittest.TestCase):
    def test_keys_are_found_however_they_are_read(self):
        source = """
          void read(node::Config& table, Out& out) {
            const auto seconds = [&](std::string_view key, int max) { return table.integer(key, 1, max, 3); };
            node::Config below = table.table("policy");
            out.a = below.text("name", "");
            out.b = seconds("every_s", 5);
            out.c = read_chain(table, "km2_chain");
            out.d = json.text("not_a_setting");
          }"""
        self.assertEqual(keys_of(source), {"policy", "name", "every_s", "km2_chain"})
        self.assertEqual(keys_of('json.text("op")'), set())

    def test_only_code_documents_a_key(self):
        row = "| `sae.roots`, `.crls` | path | `nobody` |"
        text = "```\n[peers.kms]\nport = 0\n```\nits lifetime, `qanat terminal medium`, `kms.policy.level_min`, `[kms] mode = true`"
        self.assertEqual(documented(row), {"sae", "roots", "crls"})
        self.assertEqual(documented(text), {"kms", "port", "policy", "level_min", "mode"})

    def test_every_key_stands_in_the_documents_for_operators(self):
        words = set()
        for document in (ROOT / "docs" / "operations").glob("*.md"):
            words |= documented(document.read_text())
        found = set()
        for source in sorted((ROOT / "src").rglob("*.cpp")):
            keys = keys_of(source.read_text())
            found |= keys
            with self.subTest(source=source.name):
                self.assertEqual(sorted(keys - words), [])
        # The readers of every element are among them.
        self.assertLessEqual({"identity", "site_key", "worker_threads", "km3_chain", "low_water", "lease_ms", "link", "medium", "tunnels"}, found)


if __name__ == "__main__":
    unittest.main()
