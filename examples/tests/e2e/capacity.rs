//! The example `capacity`, and a machine whose nodes have less memory than the guest.

use serde_json::Value;

use crate::aggregate_runs;
use crate::built;
use crate::machine::turn;

fn number(row: &Value, field: &str) -> u64 {
    let number = row[field].as_u64();
    number.unwrap_or_else(|| panic!("{field} of {row:#}"))
}

fn sum(rows: &Value, field: &str) -> u64 {
    let rows = rows.as_array().unwrap();
    rows.iter().map(|row| number(row, field)).sum()
}

#[test]
fn a_working_set_of_all_budgets_is_right_and_one_that_fits_is_left_alone() {
    if built::lacks_userfaultfd(
        "a_working_set_of_all_budgets_is_right_and_one_that_fits_is_left_alone",
    ) {
        return;
    }
    for protocol in ["directory", "ivy", "lease"] {
        let run = built::run(
            "capacity",
            &[
                "--budget",
                "1M",
                "--rounds",
                "1",
                "--protocol",
                protocol,
                "--json",
                "-",
            ],
        );
        assert!(run.status.success(), "{run:?}");
        let report: Value = serde_json::from_str(&run.stdout).unwrap();
        let (rows, fitting) = (&report["rows"], &report["fitting"]);
        assert_eq!(rows.as_array().unwrap().len(), 4 * 4, "{report:#}");
        assert!(sum(rows, "evictions_clean") > 0, "{report:#}");
        assert_eq!(sum(fitting, "evictions") + sum(fitting, "suspended"), 0);
        if protocol == "ivy" {
            // An owner cannot give its page up, so the budget does not hold.
            continue;
        }
        assert!(sum(rows, "evictions_dirty") > 0, "{report:#}");
        for row in rows.as_array().unwrap() {
            // What peers send home while a node's own wishes are under way is above the budget.
            let most = number(row, "budget_pages") + 4 * 64;
            assert!(number(row, "most_resident") <= most, "{row:#}");
        }
    }
}

#[test]
fn a_guest_with_more_memory_than_any_node_is_right() {
    if let Some(_turn) = turn("a_guest_with_more_memory_than_any_node_is_right", true) {
        let programs = "ticket,atomic,sum,is";
        let report = aggregate_runs::run(&[
            "--nodes",
            "4",
            "--memory",
            "96M",
            "--node-memory",
            "32M",
            "--program",
            programs,
        ]);
        let pages = (32 << 20) / number(&report, "page_bytes");
        for node in report["nodes"].as_array().unwrap() {
            assert!(
                number(node, "most_resident_pages") < pages + 256,
                "{node:#}"
            );
        }
        assert!(sum(&report["nodes"], "evictions_dirty") > 0, "{report:#}");
    }
}

#[test]
fn memory_that_does_not_suffice_is_told_before_the_start() {
    for (sizes, says) in [
        (
            "24M",
            "the guest has 96M, but the nodes give 48M, of which only 42M",
        ),
        ("64M,64M,64M", "names 3 sizes for 2 nodes"),
        ("x", "invalid value"),
    ] {
        let run = built::run("aggregate", &["--memory", "96M", "--node-memory", sizes]);
        assert_eq!(run.status.code(), Some(2), "{run:?}");
        assert!(run.stderr.contains(says), "{run:?}");
    }
}
