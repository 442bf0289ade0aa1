"""check_layers.py finds each kind of violation and passes what is allowed."""

import sys
import tomllib
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from check_layers import Layers, check_text  # noqa: E402

LAYERS = Layers(tomllib.loads((ROOT / "layers.toml").read_text(encoding="utf-8")))


def check(path, line):
    return check_text(LAYERS, Path(path), "// purpose\n" + line + "\n")


class LayersTest(unittest.TestCase):
    def assert_found(self, path, line, *parts):
        found = check(path, line)
        self.assertEqual(len(found), 1, found)
        self.assertTrue(found[0].startswith(f"{path}:2: includes "), found[0])
        self.assertIn(" — mend: ", found[0])
        for part in parts:
            self.assertIn(part, found[0])

    def test_own_folder_and_the_left_are_allowed(self):
        for path, line in [
            ("src/services/kms/csa/x.cpp", '#include "services/kms/kma/y.hpp"'),
            ("src/services/kms/x.cpp", '#include "base/result.hpp"'),
            ("src/store/x.cpp", "#include <sqlite3.h>"),
            ("src/net/x.cpp", "#include <openssl/ssl.h>"),
            ("src/net/x.cpp", '#include "crypto/x509_openssl.hpp"'),
            ("src/crypto/x.cpp", "#include <openssl/x509.h>"),
            ("src/base/x.cpp", "#include <vector>"),
            ("apps/qanat/main.cpp", '#include "services/kms/service.hpp"'),
            ("apps/qanat/main.cpp", "#include <CLI/CLI.hpp>"),
            ("src/points/x.cpp", '#include "point_evidence.inc"'),
        ]:
            self.assertEqual(check(path, line), [], (path, line))

    def test_right_of_the_layer_is_refused(self):
        self.assert_found("src/base/x.cpp", '#include "crypto/kdf.hpp"', "base may include only itself and nothing else")
        self.assert_found("src/net/x.cpp", '#include "store/store.hpp"', "net may include only itself and base, crypto, wire")
        self.assert_found("src/wire/x.cpp", '#  include "net/http.hpp"')

    def test_another_element_is_refused(self):
        self.assert_found("src/services/kms/x.cpp", '#include "quantum/qkm/pool.hpp"', "points/")
        self.assert_found("src/terminal/x.cpp", '#include "services/kms/x.hpp"')

    def test_third_party_headers_have_one_owner(self):
        self.assert_found("src/net/x.cpp", "#include <botan/hash.h>", "belongs to crypto")
        self.assert_found("src/net/x.cpp", "#include <openssl/evp.h>", "belongs to crypto")
        self.assert_found("src/crypto/x.cpp", "#include <openssl/ssl.h>", "belongs to net")
        self.assert_found("src/net/x.cpp", "#include <boost/json.hpp>", "belongs to wire")
        self.assert_found("src/services/kms/x.cpp", "#include <boost/asio.hpp>", "belongs to net")
        self.assert_found("src/services/kms/x.cpp", "#include <sqlite3.h>", "store::Transaction")
        self.assert_found("src/audit/x.cpp", "#include <fmt/core.h>", "belongs to node")
        self.assert_found("src/services/kms/x.cpp", "#include <spdlog/spdlog.h>", "belongs to node")
        self.assert_found("src/node/x.cpp", "#include <CLI/CLI.hpp>", "belongs to apps")

    def test_notation_is_no_way_around(self):
        self.assert_found("src/net/x.cpp", '#include "botan/hash.h"', "belongs to crypto")
        self.assert_found("src/base/x.cpp", "#include <crypto/kdf.hpp>", "base may include only")
        self.assert_found("src/store/x.cpp", '#include "../audit/audit.hpp"', "relative to src/")
        self.assert_found("src/store/x.cpp", "#include <base/result.hpp>", "in quotes")

    def test_private_header_is_refused_outside_its_layers(self):
        self.assert_found("src/services/cas/x.cpp", '#include "crypto/x509_openssl.hpp"', "private to crypto and net")
        self.assert_found("src/wire/x.cpp", '#include "crypto/x509_openssl.hpp"', "crypto/x509.hpp")

    def test_generated_file_is_refused_outside_its_layer(self):
        self.assert_found("src/net/x.cpp", '#include "point_evidence.inc"', "relative to src/")

    def test_file_in_no_layer_is_refused(self):
        self.assertEqual(len(check("src/utils/x.cpp", "")), 1)

    def test_mutual_inclusion_in_the_table_is_refused(self):
        table = {"layers": {"a": {"folder": "src/a", "may_include": ["b"]}, "b": {"folder": "src/b", "may_include": ["a"]}}, "owners": []}
        with self.assertRaises(ValueError):
            Layers(table)
        table["layers"]["b"]["may_include"] = ["c"]
        with self.assertRaises(ValueError):
            Layers(table)


if __name__ == "__main__":
    unittest.main()
