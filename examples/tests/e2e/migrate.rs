//! The example `migrate`.

use serde_json::Value;

use crate::built;

#[test]
fn work_that_moves_leaves_memory_right_and_moves_less_than_its_machine() {
    if built::lacks_userfaultfd(
        "work_that_moves_leaves_memory_right_and_moves_less_than_its_machine",
    ) {
        return;
    }
    for (transport, work) in [("tcp", "idle"), ("shm", "write-heavy")] {
        let arguments = [
            "--memory",
            "64M",
            "--used",
            "80",
            "--rounds",
            "1",
            "--work",
            work,
            "--transport",
            transport,
            "--json",
            "-",
        ];
        // All memory is compared in the run.
        let run = built::run("migrate", &arguments);
        assert!(run.status.success(), "{run:?}");
        let report: Value = serde_json::from_str(&run.stdout).unwrap();
        let rows = report["rows"].as_array().unwrap();
        assert_eq!(rows.len(), 1);
        for row in rows {
            let mebibytes = |by: &str, leg: usize| row[by][leg]["mebibytes"].as_f64().unwrap();
            for leg in 0..2 {
                let used = 64.0 * 0.8;
                assert!(mebibytes("precopy", leg) >= used, "{row:#}");
                assert!(
                    mebibytes("movement", leg) < mebibytes("precopy", leg),
                    "{row:#}"
                );
                assert!(
                    row["precopy"][leg]["rounds"].as_u64().unwrap() > 0,
                    "{row:#}"
                );
            }
        }
        let saved = rows[0]["saved"][2].as_f64().unwrap();
        assert!(work != "idle" || saved > 0.99, "{report:#}");
    }
}
