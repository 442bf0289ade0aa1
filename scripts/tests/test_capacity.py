import contextlib
import io
import json
import os
import re
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
import capacity

DOCUMENT = capacity.ROOT / "docs" / "operations" / "capacity.md"
ASSUMED = {one.name: one.value for one in capacity.ASSUMED}


def report_with(values, unit=None):
    """A report that has the rows of these measured names."""
    rows = {}
    for one in capacity.MEASURED:
        if one.name in values:
            row = rows.setdefault(one.row, {"name": one.row, "value": 1.0, "unit": unit or one.unit, "limit": None, "ratio": None, "note": ""})
            row[one.field] = values[one.name]
    return {"machine": {"cpu": "a processor", "cores": 2}, "commit": "0123456789ab", "date": "2026-11-29T00:00:00Z", "remarks": [], "rows": list(rows.values())}


EVERYTHING = {one.name: 100.0 for one in capacity.MEASURED}


def run(*arguments):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = capacity.main([str(one) for one in arguments])
    return code, out.getvalue(), err.getvalue()


class CapacityTest(unittest.TestCase):
    def test_every_name_of_a_formula_is_an_input_or_a_line_above_it(self):
        known = {one.name for one in capacity.ASSUMED} | {one.name for one in capacity.MEASURED}
        self.assertEqual(len(known), len(capacity.ASSUMED) + len(capacity.MEASURED), "a name is there twice")
        for line in capacity.LINES:
            self.assertEqual([name for name in capacity.names_in(line.formula) if name not in known], [], line.name)
            self.assertNotIn(line.name, known)
            known.add(line.name)

    def test_every_input_is_used(self):
        used = {name for line in capacity.LINES for name in capacity.names_in(line.formula)}
        self.assertEqual([one.name for one in capacity.ASSUMED + capacity.MEASURED if one.name not in used], [])

    def test_the_figures_are_those_of_the_formulas(self):
        values = EVERYTHING | {"deliveries_known": 200.0, "deliveries_with_acknowledgement": 160.0, "deliveries_asked": 100.0, "two_to_one": 1.6,
                               "efficiency": 0.5, "sign_ms": 1.0, "verify_ms": 0.25,
                               "keygen_ms": 0.5, "encapsulate_ms": 0.25, "decapsulate_ms": 0.25, "connection_ms": 3.0}
        results = capacity.calculate(values | ASSUMED | {"calls": 300.0, "utilisation": 0.5, "across": 0.5, "cores_per_machine": 4.0})
        self.assertEqual(results["deliveries"], 600)
        self.assertAlmostEqual(results["acknowledgement_cpu"], 0.00125)
        self.assertAlmostEqual(results["delivery_cpu"], 0.01125)
        self.assertAlmostEqual(results["kms_cores_deliveries"], 13.5)
        self.assertAlmostEqual(results["agreement_cpu"], 0.01)
        self.assertAlmostEqual(results["kms_cores_agreements"], 3.0)
        self.assertAlmostEqual(results["kms_cores_connections"], 3.6)
        self.assertAlmostEqual(results["scaling"], 0.8)
        self.assertEqual(results["kms_machines"], 7)  # 20.1 cores, 25.1 with what is lost to contention

    def test_what_the_report_lacks_is_named_in_every_figure_that_needs_it(self):
        values = {name: value for name, value in EVERYTHING.items() if name not in ("connection_ms", "two_to_one")}
        results = capacity.calculate(values | ASSUMED)
        self.assertEqual(results["kms_cores_connections"], ["connection_ms"])
        self.assertEqual(results["kms_machines"], ["connection_ms", "two_to_one"])
        self.assertIsInstance(results["kms_cores_deliveries"], float)
        text = capacity.render([report_with(values)], ["x.json"], ASSUMED)
        self.assertIn("not yet measured (`connection_ms`, `two_to_one`)", text)
        self.assertNotIn(capacity.NOT_MEASURED, capacity.render([report_with(EVERYTHING)], ["x.json"], ASSUMED))

    def test_a_row_is_of_the_last_report_that_has_it(self):
        older, newer = report_with(EVERYTHING), report_with({"relayed_keys": 7.0})
        self.assertEqual(capacity.measured_in([older, newer])["relayed_keys"], 7.0)
        self.assertEqual(capacity.measured_in([newer, older])["relayed_keys"], 100.0)
        text = capacity.render([older, newer], ["a.json", "b.json"], ASSUMED)
        self.assertRegex(text, r"relay over 2 QKM processes: keys \| b.json \|")
        self.assertRegex(text, r"certificates per second, ML-DSA-65, durable, audited \| a.json \|")
        self.assertIn("- `bench/reports/b.json`", text)
        self.assertNotIn("b.json", capacity.render([newer, older], ["b.json", "a.json"], ASSUMED))

    def test_a_load_test_is_no_report_of_the_bench(self):
        self.assertEqual([path.name for path in capacity.kept_reports() if not path.name[0].isdigit()], [])

    def test_a_row_without_a_ratio_is_not_measured(self):
        report = report_with(EVERYTHING)
        for row in report["rows"]:
            row["ratio"] = None
        self.assertNotIn("efficiency", capacity.measured_in([report]))

    def test_a_row_in_another_unit_is_refused(self):
        with self.assertRaisesRegex(ValueError, "the model takes it for"):
            capacity.measured_in([report_with(EVERYTHING, unit="apples")])

    def test_a_quick_run_is_called_one(self):
        report = report_with(EVERYTHING)
        report["remarks"] = ["a quick run, to see that everything works: its numbers say little"]
        self.assertIn("its numbers say little", capacity.render([report], ["x.json"], ASSUMED))

    def test_rows_of_the_kms_are_named_as_the_bench_names_them(self):
        sources = "".join(path.read_text(encoding="utf-8") for path in (capacity.ROOT / "bench").glob("*.cpp"))
        for one in capacity.MEASURED:
            if one.row.startswith("KMS:"):
                self.assertIn(f'"{one.row}"', sources)

    def test_a_document_gets_the_tables_between_its_marks_and_is_checked_against_them(self):
        with tempfile.TemporaryDirectory() as folder:
            report, document = Path(folder) / "r.json", Path(folder) / "d.md"
            report.write_text(json.dumps(report_with(EVERYTHING)), encoding="utf-8")
            document.write_text(f"before\n{capacity.BEGIN}\nold\n{capacity.END}\nbehind\n", encoding="utf-8")
            self.assertEqual(run("--report", report, "--check", document)[0], 1)
            self.assertEqual(run("--report", report, "--write", document)[0], 0)
            text = document.read_text(encoding="utf-8")
            self.assertTrue(text.startswith(f"before\n{capacity.BEGIN}\nFrom `bench/reports/r.json`"))
            self.assertTrue(text.endswith(f"{capacity.END}\nbehind\n"))
            self.assertNotIn("old", text)
            self.assertEqual(run("--report", report, "--check", document)[0], 0)
            document.write_text("no marks", encoding="utf-8")
            code, _, err = run("--report", report, "--write", document)
            self.assertEqual(code, 1)
            self.assertIn("capacity: begin", err)
            self.assertEqual(document.read_text(encoding="utf-8"), "no marks")

    def test_what_is_assumed_can_be_said_otherwise(self):
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "r.json"
            report.write_text(json.dumps(report_with(EVERYTHING)), encoding="utf-8")
            code, out, _ = run("--report", report, "--calls", "10")
        self.assertEqual(code, 0)
        self.assertIn("| `deliveries` | 20.0 | 1/s |", out)

    def test_a_report_that_is_none_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            for text in ("{}", "no JSON"):
                (Path(folder) / "r.json").write_text(text, encoding="utf-8")
                self.assertEqual(run("--report", Path(folder) / "r.json")[0], 1)
            self.assertEqual(run("--report", Path(folder) / "absent.json")[0], 1)

    def test_the_kept_reports_are_read(self):
        self.assertEqual(run()[0], 0)

    def test_the_documents_figures_are_the_scripts(self):
        text = DOCUMENT.read_text(encoding="utf-8")
        newest_first = re.findall(r"`bench/reports/([^`/]+\.json)`", text[text.index(capacity.BEGIN):])
        self.assertNotEqual(newest_first, [])
        code, _, err = run(*[one for name in reversed(newest_first) for one in ("--report", capacity.REPORTS / name)], "--check", DOCUMENT)
        self.assertEqual(code, 0, err)


if __name__ == "__main__":
    unittest.main()
