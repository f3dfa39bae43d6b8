//! The commands' side of the socket.

use std::io::BufReader;
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};

use super::words::{read, write};
use super::{Answer, Request};

/// Has the machine behind the socket do something, shows how far it is, and gives its last word.
pub(crate) fn ask(path: &Path, request: &Request) -> anyhow::Result<String> {
    let machine = UnixStream::connect(path)
        .with_context(|| format!("no machine takes orders at {}", path.display()))?;
    write(&mut &machine, request)?;
    let mut answers = BufReader::new(&machine);
    // On a terminal only; without one, nothing is drawn.
    let bar = ProgressBar::new(0);
    bar.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}")?);
    loop {
        match read(&mut answers).context("the machine's answer")? {
            Some(Answer::Progress { what, done, of }) => {
                bar.set_length(of as u64);
                bar.set_position(done as u64);
                bar.set_message(what);
            }
            Some(Answer::Done { said }) => {
                bar.finish_and_clear();
                return Ok(said);
            }
            Some(Answer::Failed { why }) => {
                bar.finish_and_clear();
                bail!(why);
            }
            None => bail!("the machine ended"),
        }
    }
}
