//! Runs `aggregate`, one machine at a time.

use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use giantvm_core::testing::skip;
use giantvm_dsm::uffd::Support;

use crate::built;

/// Machines of several processes get in one another's way on a small host.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The right to run a machine; `None`, with a word why, if this host cannot.
pub(crate) fn turn(test: &str, kvm: bool) -> Option<MutexGuard<'static, ()>> {
    if !Support::probe().missing() {
        skip(test, "userfaultfd is not usable");
        return None;
    }
    let device = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/kvm");
    if kvm && device.is_err() {
        skip(test, "/dev/kvm cannot be opened");
        return None;
    }
    Some(ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner))
}

/// `aggregate` with these arguments, its output kept.
pub(crate) fn aggregate(arguments: &[&str]) -> Command {
    let mut command = Command::new(built::path("aggregate"));
    command
        .stdin(Stdio::null())
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Waits for a child, which must end within `limit`.
pub(crate) fn end_within(mut child: Child, limit: Duration) -> Output {
    let deadline = Instant::now() + limit;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            let output = child.wait_with_output().unwrap();
            panic!("still running after {limit:?}: {}", text(&output));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

/// Everything a program printed.
pub(crate) fn text(output: &Output) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    format!(
        "{}\n--- stdout\n{stdout}\n--- stderr\n{stderr}",
        output.status
    )
}
