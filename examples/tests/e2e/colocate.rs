//! The example `colocate`.

use serde_json::Value;

use crate::built;

fn report(arguments: &[&str]) -> Value {
    let small = ["--hosts", "24", "--days", "1", "--json", "-"];
    let run = built::run("colocate", &[&small, arguments].concat());
    assert!(run.status.success(), "{run:?}");
    serde_json::from_str(&run.stdout).unwrap()
}

fn number(of: &Value, field: &str) -> f64 {
    let number = of[field].as_f64();
    number.unwrap_or_else(|| panic!("{field} of {of:#}"))
}

#[test]
fn who_moves_vcpus_keeps_the_promise_with_more_machines() {
    let report = report(&[]);
    for rows in ["same", "promised"] {
        let rows = report[rows].as_array().unwrap();
        let names: Vec<_> = rows
            .iter()
            .map(|row| row["policy"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["static", "live migration", "reallocation"]);
        assert_eq!(number(&rows[0], "moves_a_day"), 0.0);
        assert!(number(&rows[1], "moves_a_day") > 0.0, "{report:#}");
        for row in rows {
            let parts = ["done", "stalled", "waited"].map(|part| number(row, part));
            assert!(parts.iter().sum::<f64>() <= 1.0 + 1e-9, "{row:#}");
        }
    }
    let sold = |at: usize| number(&report["promised"][at], "sold");
    assert!(sold(2) > sold(0), "{report:#}");
    let [pooled, ours] = [
        number(&report, "pooled"),
        number(&report["same"][2], "utilisation"),
    ];
    assert!(ours <= pooled, "no policy beats that: {report:#}");
}

#[test]
fn the_same_seed_gives_the_same_report() {
    let arguments = ["--seed", "7", "--work", "independent", "--promise", "95"];
    assert_eq!(report(&arguments), report(&arguments));
}

#[test]
fn numbers_out_of_range_are_told() {
    for arguments in [
        ["--promise", "100"],
        ["--sold", "0"],
        ["--hosts", "7"],
        ["--apart", "x"],
    ] {
        let run = built::run("colocate", &arguments);
        assert_eq!(run.status.code(), Some(2), "{run:?}");
    }
}
