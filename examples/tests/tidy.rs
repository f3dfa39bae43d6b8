//! The repository keeps its own house rules.

use std::fs;
use std::path::{Path, PathBuf};

/// No file is longer than this.
const LONGEST: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

/// Every Rust file of the project, by its path from the root.
fn sources() -> Vec<(String, String)> {
    let root = root();
    let mut folders = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if name.ends_with(".rs") {
                let relative = path
                    .strip_prefix(&root)
                    .unwrap()
                    .to_string_lossy()
                    .into_owned();
                files.push((relative, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

#[test]
fn files_are_short() {
    let sources = sources();
    let mut lengths: Vec<_> = sources
        .iter()
        .map(|(_, text)| text.lines().count())
        .collect();
    for ((path, _), length) in sources.iter().zip(&lengths) {
        assert!(*length <= LONGEST, "{path} has {length} lines: split it");
    }
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    assert!(median <= 170, "the median file has {median} lines");
}

#[test]
fn every_unsafe_module_is_in_the_audit_table() {
    let table = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let opting_in = |text: &str| {
        text.lines()
            .take(8)
            .any(|line| line.contains("unsafe_code"))
    };
    for (path, text) in sources() {
        let shipped = !path.contains("/tests/") && !path.ends_with("tests.rs");
        if shipped && opting_in(&text) && !text.contains("forbid(unsafe_code)") {
            let name = Path::new(&path).file_name().unwrap().to_str().unwrap();
            let listed =
                table.contains(&path) || (path.contains("/kernel/") && table.contains(name));
            assert!(
                listed,
                "{path} is not in ARCHITECTURE.md's table of unsafe modules"
            );
        }
    }
}

#[test]
fn nothing_is_left_open() {
    for (path, text) in sources() {
        for mark in [
            concat!("todo", "!("),
            concat!("unimplemented", "!("),
            concat!("db", "g!("),
        ] {
            // A doc example may stand for what its reader brings.
            let open = text
                .lines()
                .any(|line| line.contains(mark) && !line.contains("///"));
            assert!(!open, "{path} contains {mark}");
        }
    }
}
