//! Runs an example that was built beside the tests.

use std::io::{Read, Seek};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long an example may take, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a run of an example left.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The example's executable: tests are in `deps`, examples in `examples` next to it.
pub(crate) fn path(example: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(|deps| deps.parent()).unwrap();
    let path = profile.join("examples").join(example);
    assert!(
        path.exists(),
        "{} is not built: run `cargo build --examples` with the same profile",
        path.display()
    );
    path
}

/// Runs the example to its end.
pub(crate) fn run(example: &str, arguments: &[&str]) -> Run {
    // Files, since a pipe that no one reads would stop the example.
    let mut outputs = [(); 2].map(|()| tempfile::tempfile().unwrap());
    let [stdout, stderr] = outputs
        .each_ref()
        .map(|file| Stdio::from(file.try_clone().unwrap()));
    let child = Command::new(path(example))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .spawn();
    let status = wait(&mut child.unwrap(), PATIENCE);
    let [stdout, stderr] = outputs.each_mut().map(|file| {
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        text
    });
    let status = status.unwrap_or_else(|| panic!("{example} does not end\n{stdout}{stderr}"));
    Run {
        status,
        stdout,
        stderr,
    }
}

fn wait(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}

/// Says so and returns true if this machine cannot share memory.
pub(crate) fn lacks_userfaultfd(test: &str) -> bool {
    let lacks = !giantvm_dsm::uffd::Support::probe().missing();
    if lacks {
        giantvm_core::testing::skip(test, "userfaultfd is missing or not allowed");
    }
    lacks
}
