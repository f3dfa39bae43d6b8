//! Programs of the machine that the lab runs to their end.

use std::process::Command;

use anyhow::{Context as _, bail};

/// What a program prints; an error with what it complained of if it fails.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<Vec<u8>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("{program} failed ({}): {}", output.status, complaint.trim());
    }
    Ok(output.stdout)
}

/// The same, as text.
pub(crate) fn text(command: &mut Command) -> anyhow::Result<String> {
    Ok(String::from_utf8_lossy(&output(command)?).into_owned())
}
