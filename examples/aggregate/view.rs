//! Shows moments, on a thread of its own: whoever makes them never waits for a terminal.

use std::fs::File;
use std::io::{IsTerminal as _, Write, stdout};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use anyhow::Context as _;

use crate::console::{ConsoleTo, Tail};
use crate::lines;
use crate::screen::{Moment, fit};

/// What a terminal is taken for that does not say how large it is.
const USUAL: (usize, usize) = (24, 80);
/// Clears the screen and what is kept of it.
const CLEAR: &str = "\x1b[2J";
/// Goes to the first place of the screen.
const HOME: &str = "\x1b[H";
/// Clears the rest of a line and of the screen.
const REST_OF_LINE: &str = "\x1b[K";
const REST: &str = "\x1b[J";

/// Where a live view goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Show {
    /// Lines of JSON go to this file, `-` being standard output; what is for people goes to
    /// standard output otherwise.
    pub(crate) json: Option<PathBuf>,
}

/// What people see on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One screen that is drawn over and over.
    Screen,
    /// Text below text.
    Lines,
    /// Nothing.
    Nothing,
}

impl Show {
    /// Whether standard output is for JSON alone.
    pub(crate) fn is_json_only(&self) -> bool {
        self.json.as_deref() == Some(Path::new("-"))
    }

    fn form(&self) -> Form {
        match self.is_json_only() {
            true => Form::Nothing,
            false if stdout().is_terminal() => Form::Screen,
            false => Form::Lines,
        }
    }
}

/// The thread that shows.
#[derive(Debug)]
pub(crate) struct View {
    moments: SyncSender<Moment>,
    thread: JoinHandle<()>,
}

impl View {
    /// Starts to show. Also says where the guest's console goes meanwhile.
    pub(crate) fn start(show: &Show) -> anyhow::Result<(Self, ConsoleTo)> {
        let form = show.form();
        let json: Option<Box<dyn Write + Send>> = match &show.json {
            None => None,
            Some(_) if show.is_json_only() => Some(Box::new(stdout())),
            Some(path) => {
                let file = File::create(path);
                let file = file.with_context(|| format!("cannot write {}", path.display()));
                Some(Box::new(file?))
            }
        };
        let tail = Arc::new(Tail::default());
        let console = match form {
            Form::Screen => ConsoleTo::Tail(tail.clone()),
            Form::Lines => ConsoleTo::Stdout,
            Form::Nothing => ConsoleTo::Stderr,
        };
        // One is shown and one waits; what comes while both are there is not shown.
        let (moments, shown) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("top".into())
            .spawn(move || run(&shown, form, json, &tail))?;
        Ok((Self { moments, thread }, console))
    }

    /// Shows a moment, unless there is one that still waits to be shown.
    pub(crate) fn offer(&self, moment: Moment) {
        self.moments.try_send(moment).ok();
    }

    /// Shows the last moment, and waits until that is done.
    pub(crate) fn finish(self, moment: Moment) {
        self.moments.send(moment).ok();
        drop(self.moments);
        self.thread.join().ok();
    }
}

/// A closed standard output or a full disk ends the showing, not the machine.
fn run(
    moments: &Receiver<Moment>,
    form: Form,
    mut json: Option<Box<dyn Write + Send>>,
    tail: &Tail,
) {
    let mut begin = CLEAR;
    for moment in moments {
        let text = match form {
            Form::Screen => std::mem::take(&mut begin).to_owned() + &screen(&moment, &tail.lines()),
            Form::Lines => moment.to_text(),
            Form::Nothing => String::new(),
        };
        write(&mut stdout(), &text);
        if let (Some(json), Ok(lines)) = (&mut json, lines::of(&moment)) {
            write(json, &lines);
        }
    }
}

fn write(to: &mut impl Write, text: &str) {
    to.write_all(text.as_bytes()).and_then(|()| to.flush()).ok();
}

/// What draws a moment over the one before.
fn screen(moment: &Moment, console: &[String]) -> String {
    let size = rustix::termios::tcgetwinsize(stdout());
    let (rows, columns) = match size {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => (size.ws_row.into(), size.ws_col.into()),
        _ => USUAL,
    };
    // The cursor is on the last row.
    let lines = fit(&moment.to_text(), console, rows - 1, columns);
    let lines = lines.iter().map(|line| format!("{line}{REST_OF_LINE}\n"));
    format!("{HOME}{}{REST}", lines.collect::<String>())
}
