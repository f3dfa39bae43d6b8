//! Says what the lab is at while it takes long.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// One long step. On a terminal it has a line that moves; elsewhere its end is a line.
#[derive(Debug)]
pub(crate) struct Step {
    what: String,
    start: Instant,
    bar: Option<ProgressBar>,
}

impl Step {
    /// Starts a step of unknown length.
    pub(crate) fn start(what: &str) -> Self {
        Self::with(
            what,
            ProgressBar::new_spinner(),
            "{spinner} {msg} {elapsed}",
        )
    }

    /// Starts a step of so many bytes.
    pub(crate) fn bytes(what: &str, bytes: u64) -> Self {
        let style = "{spinner} {msg} {bar:30} {bytes}/{total_bytes} {elapsed}";
        Self::with(what, ProgressBar::new(bytes), style)
    }

    /// Starts a step that may take so long at most.
    pub(crate) fn until(what: &str, limit: Duration) -> Self {
        let style = "{spinner} {msg} {elapsed} of at most {len} s";
        Self::with(what, ProgressBar::new(limit.as_secs()), style)
    }

    fn with(what: &str, bar: ProgressBar, template: &str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(template);
            let bar = bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.set_message(what.to_owned());
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        let what = what.to_owned();
        let start = Instant::now();
        Self { what, start, bar }
    }

    /// How far it is.
    pub(crate) fn at(&self, position: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(position);
        }
    }

    /// What goes on in it just now.
    pub(crate) fn tell(&self, detail: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{}: {detail}", self.what));
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let seconds = self.start.elapsed().as_secs_f64();
        eprintln!("lab: {} ({seconds:.1} s)", self.what);
    }
}
