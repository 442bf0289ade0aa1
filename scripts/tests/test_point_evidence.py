"""point_evidence.py finds the tests of reference points, and which of them run with both databases of the KMS."""

import fnmatch
import re
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from point_evidence import ALSO_ON_BOTH, ON_BOTH, filters_of, rows_of  # noqa: E402

KMS_POINT = "POINT_TEST(Calls, Km_1, accepts, OneKey) {\n}\nPOINT_TEST(Calls, Km_1, refuses, Others) {\n}\n"
OTHER_POINT = "POINT_TEST(Calls, Kq_1, refuses, Others) {\n}\n"


class PointEvidenceTest(unittest.TestCase):
    def test_a_kms_point_is_proved_with_both_databases(self):
        self.assertEqual(
            rows_of(KMS_POINT),
            [
                '    {"Km-1", "Calls.Km_1_accepts_OneKey", false, KmsStore::sqlite, false},\n',
                '    {"Km-1", "Calls.Km_1_accepts_OneKey", false, KmsStore::postgresql, false},\n',
                '    {"Km-1", "Calls.Km_1_refuses_Others", true, KmsStore::sqlite, false},\n',
                '    {"Km-1", "Calls.Km_1_refuses_Others", true, KmsStore::postgresql, false},\n',
            ],
        )

    def test_others_are_proved_as_they_run(self):
        self.assertEqual(rows_of(OTHER_POINT), ['    {"Kq-1", "Calls.Kq_1_refuses_Others", true, KmsStore::sqlite, false},\n'])
        with_a_server = '#include "postgresql.hpp"\n' + KMS_POINT
        self.assertTrue(all("KmsStore::postgresql" in row for row in rows_of(with_a_server)))
        self.assertEqual(len(rows_of(with_a_server)), 2)

    def test_a_test_that_may_be_skipped_is_called_so(self):
        rows = rows_of("void SetUp() override { if (!root()) GTEST_SKIP(); }\n" + KMS_POINT)
        self.assertTrue(all(row.endswith(", true},\n") for row in rows))
        self.assertEqual(len(rows), 4)

    def test_the_second_run_is_of_what_is_claimed_for_it_and_of_nothing_else(self):
        self.assertEqual(filters_of(KMS_POINT + OTHER_POINT), {"Calls": ["Calls.Km_1_*"]})
        self.assertEqual(filters_of(OTHER_POINT), {})
        self.assertEqual(filters_of('#include "postgresql.hpp"\n' + KMS_POINT), {})

    def test_suites_of_the_list_run_with_both_databases_too(self):
        point = "POINT_TEST(KmsSaeSystem, Km_2, refuses, Others) {\n}\n"
        self.assertEqual(filters_of(point), {"KmsSaeSystem": ["KmsSaeSystem.*"]})
        self.assertEqual(filters_of("TEST_F(CrashAtEveryStep, TheCallersKms) {}\n"), {"CrashAtEveryStep": ["CrashAtEveryStep.The*Kms*"]})
        text = "".join(source.read_text() for source in (ROOT / "tests" / "system").glob("*.cpp"))
        for suite, pattern in ALSO_ON_BOTH.items():
            tests = re.findall(rf"^(?:TEST_F|POINT_TEST)\({suite}, .*?(\w+)\)", text, re.M)
            self.assertTrue(any(fnmatch.fnmatchcase(test, pattern) for test in tests), suite)

    def test_every_point_of_the_list_is_accepted_and_refused_somewhere(self):
        rows = [row for source in (ROOT / "tests" / "system").glob("*.cpp") for row in rows_of(source.read_text())]
        for point in ON_BOTH:
            for verdict in ("true", "false"):
                wanted = f", {verdict}, KmsStore::postgresql"
                self.assertTrue(any(f'"{point}"' in row and wanted in row for row in rows), f"{point}, refusal {verdict}")


if __name__ == "__main__":
    unittest.main()
