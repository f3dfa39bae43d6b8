//! The project's own programs, built so that they run without any library.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use serde_json::Value;

use crate::progress::Step;
use crate::tool;

const TARGET: &str = "x86_64-unknown-linux-gnu";
/// The target is named, so that flags are for programs and not for what builds them.
const FLAGS: &str = "-C target-feature=+crt-static -C strip=debuginfo";

/// Builds examples; their files by name.
pub(crate) fn build(names: &[&str]) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let _step = Step::start(&format!("build {} without libraries", names.join(", ")));
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .env("RUSTFLAGS", FLAGS)
        .args(["build", "--release", "--target", TARGET])
        .args(["--message-format", "json-render-diagnostics"]);
    for name in names {
        cargo.args(["--example", name]);
    }
    let built = executables(&tool::text(&mut cargo)?);
    for name in names {
        let found = built.contains_key(*name);
        found
            .then_some(())
            .with_context(|| format!("cargo built no {name}"))?;
    }
    Ok(built)
}

/// The executables that cargo tells of.
fn executables(messages: &str) -> BTreeMap<String, PathBuf> {
    let messages = messages
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let executables = messages.filter_map(|message: Value| {
        let path = message.get("executable")?.as_str()?.into();
        let name = message.get("target")?.get("name")?.as_str()?.to_owned();
        Some((name, path))
    });
    executables.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_no_executables() {
        let messages = "{\"executable\":\"/t/a\",\"target\":{\"name\":\"a\"}}\n\
                        {\"executable\":null,\"target\":{\"name\":\"b\"}}\nnoise\n";
        let built = executables(messages);
        assert_eq!(built.keys().collect::<Vec<_>>(), ["a"]);
        assert_eq!(built["a"], Path::new("/t/a"));
    }
}
