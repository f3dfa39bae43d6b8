//! Ctrl-C and polite ends.

use std::sync::mpsc::{Receiver, channel};

use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// A channel that gets a word when someone asks this process to end.
pub(crate) fn watch() -> std::io::Result<Receiver<()>> {
    let (sender, receiver) = channel();
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for _ in signals.forever() {
                if sender.send(()).is_err() {
                    // The machine is past stopping in good order.
                    std::process::exit(i32::from(crate::exit::Exit::Interrupted.code()));
                }
            }
        })?;
    Ok(receiver)
}

/// Makes this process end with its parent, however that ends.
pub(crate) fn end_with_parent() -> std::io::Result<()> {
    let parent = getppid();
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have ended before this took effect.
    if getppid() != parent {
        std::process::exit(i32::from(crate::exit::Exit::Interrupted.code()));
    }
    Ok(())
}
