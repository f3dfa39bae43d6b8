//! The second opinion: ACPICA's compiler.

use std::fs;
use std::path::Path;
use std::process::Command;

use giantvm_core::testing::skip;

use super::reader::Reader;

/// Has every table taken apart, and the DSDT made once more of that. The DSDT's text, or `None` where
/// there is no such compiler.
pub(crate) fn accepts(test: &str, reader: &Reader) -> Option<String> {
    if Command::new("iasl").arg("-v").output().is_err() {
        skip(test, "iasl is not installed");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    for signature in reader.signatures() {
        let file = format!("{signature}.dat");
        fs::write(folder.path().join(&file), &reader.table(signature).bytes).unwrap();
        let said = iasl(folder.path(), &["-d", &file]);
        for complaint in ["rror", "arning", "Unknown", "Invalid"] {
            assert!(!said.contains(complaint), "{signature}: {said}");
        }
    }
    let said = iasl(folder.path(), &["DSDT.dsl"]);
    assert!(said.contains("0 Errors, 0 Warnings"), "{said}");
    Some(fs::read_to_string(folder.path().join("DSDT.dsl")).unwrap())
}

fn iasl(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("iasl");
    let output = command
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    said
}
