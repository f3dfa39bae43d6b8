//! What an experiment found, for people and for programs.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

/// Prints `text`, and writes `found` to a file as JSON, if one is named. With `-` JSON is what is printed, and
/// the text goes to standard error.
///
/// # Errors
///
/// A file that cannot be written, by its name.
///
/// ```
/// giantvm_examples::output::show("two nodes\n", &[1, 2], None)?;
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn show(text: &str, found: &impl Serialize, json: Option<&Path>) -> anyhow::Result<()> {
    match json {
        Some(path) if path == Path::new("-") => {
            eprint!("{text}");
            write(&mut io::stdout(), found)
        }
        Some(path) => {
            print!("{text}");
            let file = File::create(path);
            let mut file = file.with_context(|| format!("cannot write {}", path.display()))?;
            write(&mut file, found)
        }
        None => {
            print!("{text}");
            Ok(())
        }
    }
}

fn write(file: &mut dyn Write, found: &impl Serialize) -> anyhow::Result<()> {
    serde_json::to_writer_pretty(&mut *file, found).context("cannot write the JSON")?;
    writeln!(file).and_then(|()| file.flush())?;
    Ok(())
}
