#!/usr/bin/env python3
"""How much machine a network needs: formulas over what `make bench` measured and what is assumed of its use. Prints the model's tables in Markdown;
with --write puts them between the marks of a document (docs/operations/capacity.md), whose figures come from here alone. A figure that needs a row
which the report lacks is named as not yet measured. The formulas that are printed are those that are calculated."""
import argparse
import ast
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REPORTS = ROOT / "bench" / "reports"
BEGIN, END = "<!-- capacity: begin -->", "<!-- capacity: end -->"
NOT_MEASURED = "not yet measured"


@dataclass(frozen=True)
class Assumed:
    name: str
    value: float
    unit: str
    why: str


@dataclass(frozen=True)
class Measured:
    name: str
    row: str
    unit: str
    field: str = "value"  # of the row: value, limit or ratio


@dataclass(frozen=True)
class Line:
    name: str
    formula: str
    unit: str
    what: str


ASSUMED = (
    Assumed("terminals", 10_000_000, "", "enrolled"),
    Assumed("calls", 2800, "1/s", "begun in the busiest hour"),
    Assumed("legs", 2, "per call", "the caller's delivery and the callee's"),
    Assumed("busy_hour_share", 0.1, "", "of a day's calls that fall into the busiest hour: 2,800 calls/s are then ten calls a day of each terminal"),
    Assumed("across", 0.5, "of calls", "go to another domain, so that two KMSs agree on a key"),
    Assumed("status_known", 0, "of deliveries", "whose certificates' status is younger than status.fresh_ms: none, where a terminal calls a few times a day"),
    Assumed("certificates_asked", 4, "per delivery", "whose status is asked then: two for signing, two that are encrypted to"),
    Assumed("new_connections", 1, "per delivery", "that begin with a handshake: all, where a terminal calls less often than its connection is kept"),
    Assumed("connection_idle_s", 60, "s", "a connection is kept open without a request"),
    Assumed("utilisation", 0.6, "", "of a processor that is planned with; the rest is for peaks and for a machine that fails"),
    Assumed("cores_per_machine", 32, "", "like those of the report"),
    Assumed("history_days", 1, "days", "that a destroyed key's row stays in the database (kms.history_retention_s)"),
    Assumed("kept_days", 400, "days", "that a charging record stays (kms.policy.charges_kept_days)"),
    Assumed("charge_octets", 220, "octets", "of a charging record in its archive with its index; from the table's columns, not measured"),
    Assumed("used_octets", 40, "octets", "that the database keeps of a key in the archive, its session's number and place; from the table's columns, not measured"),
    Assumed("archived_octets", 1000, "octets", "of a key's line in the archive; from its fields, not measured"),
    Assumed("audit_days", 180, "days", "that the audit record stays on the element's own disk"),
    Assumed("page_octets", 4096, "octets", "of one write operation"),
    Assumed("certificate_days", 30, "days", "life of a terminal's certificates"),
    Assumed("renewed_at", 0.67, "of the life", "a terminal renews then"),
    Assumed("certificates_per_terminal", 4, "", "of one bundle"),
    Assumed("quantum_keys_per_call", 1, "per call across", "kms.quantum_shares"),
)

MEASURED = (
    Measured("deliveries_known", "WK deliveries per KMS CPU second", "1/CPU s"),
    Measured("efficiency", "WK deliveries per KMS CPU second", "1/CPU s", "ratio"),
    Measured("deliveries_with_acknowledgement", "… acknowledgements included", "1/CPU s"),
    Measured("deliveries_asked", "… with certificate status asked anew", "1/CPU s"),
    Measured("sign_ms", "GM-hybrid: sign (classical and ML-DSA)", "CPU ms"),
    Measured("verify_ms", "GM-hybrid: verify both, key parsed before", "CPU ms"),
    Measured("keygen_ms", "GM-hybrid: ephemeral key pair", "CPU ms"),
    Measured("encapsulate_ms", "GM-hybrid: encapsulate to an ephemeral key", "CPU ms"),
    Measured("decapsulate_ms", "GM-hybrid: decapsulate, ephemeral", "CPU ms"),
    Measured("connection_ms", "KMS: processor time per new terminal connection", "CPU ms"),
    Measured("octets_ceiling", "KMS: deliveries per second that its one thread for octets can move", "1/s"),
    Measured("two_to_one", "KMS: two workers to one, by what a delivery costs", "ratio"),
    Measured("connection_kib", "KMS: memory per open terminal connection", "KiB"),
    Measured("terminal_kib", "KMS: memory per enrolled terminal", "KiB"),
    Measured("terminal_octets", "KMS: database octets per terminal", "octets"),
    Measured("delivery_octets", "KMS: database octets per delivery", "octets"),
    Measured("audit_octets", "KMS: audit octets per delivery", "octets"),
    Measured("written_octets", "KMS: octets written to storage per delivery", "octets"),
    Measured("ocsp_signed", "OCSP answers signed for the question, ML-DSA-65", "1/CPU s"),
    Measured("ocsp_ahead", "OCSP answers made ahead, ML-DSA-65, over HTTP", "1/s"),
    Measured("certificates_issued", "certificates per second, ML-DSA-65, durable, audited", "1/s"),
    Measured("relayed_keys", "relay over 2 QKM processes: keys", "1/s"),
)

LINES = (
    Line("deliveries", "calls * legs", "1/s", "working keys delivered by all KMSs"),
    Line("deliveries_per_day", "deliveries * 3600 / busy_hour_share", "1/day", "the same, over a day"),
    Line("acknowledgement_cpu", "1 / deliveries_with_acknowledgement - 1 / deliveries_known", "CPU s", "KMS: one acknowledgement"),
    Line("delivery_cpu", "status_known / deliveries_known + (1 - status_known) / deliveries_asked + acknowledgement_cpu", "CPU s",
         "KMS: one delivery, acknowledged"),
    Line("agreement_cpu", "(3 * sign_ms + 4 * verify_ms + keygen_ms + encapsulate_ms + decapsulate_ms) / 1000 / efficiency", "CPU s",
         "both KMSs of a call across: signatures and encapsulations of steps 8 and 9, at the efficiency of a delivery; estimated, not measured"),
    Line("kms_cores_deliveries", "deliveries * delivery_cpu / utilisation", "cores", "all KMSs: deliveries"),
    Line("kms_cores_agreements", "calls * across * agreement_cpu / utilisation", "cores", "all KMSs: agreements"),
    Line("kms_cores_connections", "deliveries * new_connections * connection_ms / 1000 / utilisation", "cores", "all KMSs: handshakes with terminals"),
    Line("kms_cores_known", "deliveries * (1 / deliveries_known + acknowledgement_cpu) / utilisation", "cores",
         "for comparison: deliveries, were every status known"),
    Line("scaling", "min(1, two_to_one / 2)", "", "what each further worker brings of the first"),
    Line("kms_machines", "ceil((kms_cores_deliveries + kms_cores_agreements + kms_cores_connections) / scaling / cores_per_machine)", "machines",
         "all KMSs"),
    Line("kms_front_ends", "ceil(deliveries / octets_ceiling / utilisation)", "processes", "at least so many: each has one thread that moves octets"),
    Line("connections_open", "min(terminals, deliveries * new_connections * connection_idle_s)", "", "at a time, all KMSs"),
    Line("kms_memory_connections", "connections_open * connection_kib / 1048576", "GiB", "all KMSs"),
    Line("kms_memory_terminals", "min(terminals, deliveries * 3600) * terminal_kib / 1048576", "GiB",
         "all KMSs, if every terminal that applies within an hour were kept; at most 100,000 certificates' status are, per process"),
    Line("kms_disk_terminals", "terminals * terminal_octets / 1073741824", "GiB", "databases: the pool of public keys"),
    Line("kms_disk_deliveries", "deliveries_per_day * delivery_octets * history_days / 1073741824", "GiB",
         "databases: what a delivery leaves, until its key's row goes into the archive; an upper bound: what the database uses again is in the measured octets"),
    Line("kms_disk_charges", "deliveries_per_day * charge_octets * kept_days / 1073741824", "GiB", "databases: charging records"),
    Line("kms_disk_used", "deliveries_per_day * used_octets * 365 / 1073741824", "GiB", "databases: sessions that were used, which stay for ever: so much more with each year"),
    Line("kms_disk_databases", "kms_disk_terminals + kms_disk_deliveries + kms_disk_charges + kms_disk_used", "GiB", "databases of all KMSs after the first year: nothing but `kms_disk_used` grows on"),
    Line("kms_archive_day", "deliveries_per_day * archived_octets / 1073741824", "GiB/day", "files of the archives of keys, which are for the operator to take away"),
    Line("kms_disk_audit", "deliveries_per_day * audit_octets * audit_days / 1073741824", "GiB", "audit records"),
    Line("kms_written", "deliveries * written_octets / 1000000", "MB/s", "to the disks of all KMSs"),
    Line("kms_iops", "deliveries * written_octets / page_octets", "1/s", "write operations of all KMSs, each page by itself: an upper bound"),
    Line("ocsp_questions", "deliveries * certificates_asked * (1 - status_known)", "1/s", "to CAS"),
    Line("cas_cores_ocsp", "ocsp_questions / ocsp_signed / utilisation", "cores", "CAS, signing each answer for its question"),
    Line("cas_machines_ocsp_ahead", "ocsp_questions / ocsp_ahead / utilisation", "machines", "as small as the report's, were all answers made ahead"),
    Line("renewals_per_day", "terminals / (certificate_days * renewed_at)", "1/day", "of terminals' bundles"),
    Line("certificates", "renewals_per_day * certificates_per_terminal / 86400", "1/s", "issued by CAS, spread over the day"),
    Line("cas_machines_issuing", "certificates / certificates_issued / utilisation", "machines", "as small as the report's"),
    Line("tokens", "deliveries", "1/s", "access tokens issued by IAM, where a terminal calls less often than one lives; what one costs IAM is in no report"),
    Line("quantum_keys", "calls * across * quantum_keys_per_call", "1/s", "relayed between the domains"),
    Line("relays_busy", "quantum_keys / relayed_keys / utilisation", "machines", "as small as the report's, for a relay over one link"),
)

FUNCTIONS = {"ceil": math.ceil, "min": min}


def names_in(formula):
    """The names that a formula needs, functions aside, each once and in the order of their place."""
    nodes = sorted((node for node in ast.walk(ast.parse(formula, mode="eval")) if isinstance(node, ast.Name)), key=lambda node: node.col_offset)
    return list(dict.fromkeys(node.id for node in nodes if node.id not in FUNCTIONS))


def kept_reports():
    """From the oldest to the newest; their names begin with a date, those of load tests do not."""
    reports = sorted(REPORTS.glob("[0-9]*.json"), key=lambda path: path.stem)
    if not reports:
        raise SystemExit(f"capacity: no report in {REPORTS}")
    return reports


def rows_of(reports):
    """By name, each with the place of the report that it is of: the last that has it."""
    return {row["name"]: (row, place) for place, report in enumerate(reports) for row in report["rows"]}


def measured_in(reports):
    """Values by name; a name whose row is not there, or has no such figure, is missing. A row in another unit than the model's is an error."""
    rows = {name: row for name, (row, _) in rows_of(reports).items()}
    out = {}
    for one in MEASURED:
        row = rows.get(one.row)
        if row is None or row.get(one.field) is None:
            continue
        if row["unit"] != one.unit:
            raise ValueError(f"the row '{one.row}' is in '{row['unit']}', the model takes it for '{one.unit}'")
        out[one.name] = float(row[one.field])
    return out


def calculate(values):
    """The lines by name: a number, or the list of measured names that are missing for it."""
    known, missing, out = dict(values), {}, {}
    for line in LINES:
        lacks = []
        for name in names_in(line.formula):
            lacks += missing.get(name, [] if name in known else [name])
        lacks = list(dict.fromkeys(lacks))
        if lacks:
            missing[line.name] = out[line.name] = lacks
            continue
        # The text is a constant of this file.
        known[line.name] = out[line.name] = float(eval(compile(line.formula, line.name, "eval"), {"__builtins__": {}} | FUNCTIONS, known))
    return out


def shown(value):
    """Three significant digits at least, no more than help."""
    size = abs(value)
    if size == 0 or size >= 100:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(size)))}f}"


def said(value):
    """As it was put in."""
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"


def table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "|" + "|".join("---:" if head == "value" else "---" for head in heads) + "|"]
    return "\n".join(lines + ["| " + " | ".join(cells) + " |" for cells in rows]) + "\n"


def render(reports, names, assumed):
    """Each measured row is of the last report that has it."""
    measured = measured_in(reports)
    results = calculate(measured | {one.name: assumed[one.name] for one in ASSUMED})
    rows = rows_of(reports)
    source = {one.name: rows[one.row][1] for one in MEASURED if one.name in measured}
    used = sorted(set(source.values()), reverse=True)
    out = "From, each row from the first of them that has it:\n\n" if len(used) > 1 else "From "
    for place in used:
        report, machine = reports[place], reports[place]["machine"]
        said_of = f"`bench/reports/{names[place]}` ({machine['cpu']}, {machine['cores']} cores, commit {report['commit']}, {report['date']})"
        out += f"- {said_of}\n" if len(used) > 1 else f"{said_of}.\n"
    out += "\n"
    quick = [names[place] for place in used if any(remark.startswith("a quick run") for remark in reports[place]["remarks"])]
    if quick:
        out += f"**Of a quick run, so that its numbers say little: {', '.join(quick)}.**\n\n"
    out += "### What is needed\n\n"
    rows = []
    for line in LINES:
        result = results[line.name]
        value = f"{NOT_MEASURED} ({', '.join(f'`{lack}`' for lack in result)})" if isinstance(result, list) else shown(result)
        rows.append((f"`{line.name}`", value, line.unit, f"`{line.formula}`", line.what))
    out += table(("quantity", "value", "unit", "formula", "what"), rows)
    out += "\n### What is measured\n\n"
    rows = [(f"`{one.name}`", shown(measured[one.name]) if one.name in measured else NOT_MEASURED, one.unit if one.field == "value" else "ratio",
             one.row + ("" if one.field == "value" else f" ({one.field})"), names[source[one.name]] if one.name in source else "") for one in MEASURED]
    out += table(("input", "value", "unit", "row of the report", "report"), rows)
    out += "\n### What is assumed\n\n"
    return out + table(("input", "value", "unit", "why"), [(f"`{one.name}`", said(assumed[one.name]), one.unit, one.why) for one in ASSUMED])


def put_into(text, block):
    """The document with the block between its marks."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"the document has not each of {BEGIN} and {END} once, in this order")
    return text[:text.index(BEGIN) + len(BEGIN)] + "\n" + block + text[text.index(END):]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--report", type=Path, action="append",
                        help="a report.json of `make bench`; of several, a row is taken from the last that has it; all below bench/reports if not given")
    parser.add_argument("--write", type=Path, metavar="DOCUMENT", help="put the tables into this document instead of printing them")
    parser.add_argument("--check", type=Path, metavar="DOCUMENT", help="fail if this document's tables are others than these")
    for one in ASSUMED:
        about = f"{one.why} (default {said(one.value)} {one.unit})".replace("%", "%%")
        parser.add_argument("--" + one.name.replace("_", "-"), type=float, default=one.value, help=about)
    options = parser.parse_args(arguments)
    paths = options.report or kept_reports()
    names = " and ".join(path.name for path in paths)
    try:
        reports = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
        block = render(reports, [path.name for path in paths], {one.name: getattr(options, one.name) for one in ASSUMED})
        document = options.write or options.check
        if document is None:
            print(block, end="")
            return 0
        before = document.read_text(encoding="utf-8")
        after = put_into(before, block)
        if options.check:
            if before != after:
                print(f"capacity: {document} has other figures than {names} give: scripts/capacity.py --write {document}", file=sys.stderr)
            return int(before != after)
        document.write_text(after, encoding="utf-8")
    except (OSError, KeyError, ValueError, ZeroDivisionError) as error:
        print(f"capacity: {names}: {error!r}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
