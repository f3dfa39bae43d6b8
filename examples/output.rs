//! What an experiment found, for people and for programs.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
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

/// Writes the picture that `draw` makes to a file, if one is named.
///
/// # Errors
///
/// What `draw` fails with, or a file that cannot be written, by its name.
///
/// ```
/// giantvm_examples::output::picture(None, || unreachable!("nobody wants it"))?;
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn picture(
    path: Option<&Path>,
    draw: impl FnOnce() -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    let Some(path) = path else {
        return Ok(());
    };
    std::fs::write(path, draw()?).with_context(|| format!("cannot write {}", path.display()))
}

/// A bar that tells of `count` pieces of a work, named by `pieces`, such as "of {len} runs".
///
/// # Errors
///
/// What is wrong with the name, where it has braces.
///
/// ```
/// let bar = giantvm_examples::output::progress(3, "of {len} runs")?;
/// bar.inc(1);
/// bar.finish_and_clear();
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn progress(count: u64, pieces: &str) -> anyhow::Result<ProgressBar> {
    let bar = ProgressBar::new(count);
    let template = format!("{{bar:40}} {{pos}} {pieces}, {{elapsed}}  {{msg}}");
    bar.set_style(ProgressStyle::with_template(&template)?);
    Ok(bar)
}

fn write(file: &mut dyn Write, found: &impl Serialize) -> anyhow::Result<()> {
    serde_json::to_writer_pretty(&mut *file, found).context("cannot write the JSON")?;
    writeln!(file).and_then(|()| file.flush())?;
    Ok(())
}
