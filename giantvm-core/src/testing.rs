//! Support for tests that need something a machine may lack.

use std::io::Write;

/// Says that a test was skipped for want of `what`, on a line of its own that survives the test
/// harness' capture: `SKIPPED <test>: <what>`.
///
/// The project's test command counts these lines and ends with their number and reasons.
///
/// ```
/// giantvm_core::testing::skip("kvm_runs_a_guest", "/dev/kvm cannot be opened");
/// ```
pub fn skip(test: &str, what: &str) {
    // The macros are captured by the harness when a test passes; a direct write is not.
    let line = format!("\nSKIPPED {test}: {what}\n");
    std::io::stderr().write_all(line.as_bytes()).ok();
}
