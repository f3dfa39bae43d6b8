//! Carries out the commands of inputs, in order and completely.
//!
//! The same code serves the real pump and the simulated node: only where messages go, and who is
//! told of what was done, differs.

use giantvm_core::PageIndex;

use super::batch::Batch;
use crate::backing::{Backing, BackingError};
use crate::mutants::mutant;
use crate::protocol::{Attach, Command, PageMessage};

pub(crate) use super::batch::{Deed, Outside};

/// Carries out `commands`; `payload` is what came with the message that they answer.
///
/// What may wait is left in `batch`, which has to be flushed before anyone looks at the memory, and
/// before the node sleeps.
pub(crate) fn execute<M: PageMessage>(
    commands: &[Command<M>],
    payload: Option<&[u8]>,
    backing: &mut dyn Backing,
    outside: &mut impl Outside<M>,
    batch: &mut Batch<M>,
) -> Result<(), BackingError> {
    let sends = |command: &&Command<M>| matches!(command, Command::Send { .. });
    let first = commands
        .iter()
        .filter(|command| mutant!(SendsFirst) && sends(command));
    let then = commands
        .iter()
        .filter(|command| !mutant!(SendsFirst) || !sends(command));
    let mut lingers = None;
    for command in first.chain(then) {
        let late = command.changes().is_some_and(|page| batch.concerns(page));
        if late || batch.takes() && gives(command) {
            batch.flush(backing, outside)?;
        }
        match command {
            Command::Send {
                to,
                message,
                attach: Attach::Nothing,
            } if lingers.take() == Some(message.page()) => {
                batch.send_later(*to, message, backing, outside)?;
            }
            Command::Send {
                to,
                message,
                attach,
            } => batch.send(*to, message, *attach, backing, outside)?,
            Command::Linger { page } => lingers = Some(*page),
            Command::Store { .. } if mutant!(SkipsStores) => {}
            Command::Protect { .. } if mutant!(SkipsProtects) => {}
            Command::Unmap { .. } if mutant!(SkipsUnmaps) => {}
            Command::Wake { .. } if mutant!(SkipsWakes) => {}
            Command::Store { page } => {
                backing.store(*page, payload.unwrap_or_default())?;
                outside.did(Deed::Stored);
            }
            Command::Map { page, rights } if is_woken(commands, *page) => {
                batch.map(*page, *rights, backing, outside)?;
            }
            Command::Map { page, rights } => backing.map(*page, *rights)?,
            Command::MapZero { page, rights } => {
                backing.map_zero(*page, *rights)?;
                outside.did(Deed::Zeroed);
            }
            Command::Protect { page } => {
                batch.protect(*page, backing, outside)?;
            }
            Command::Unprotect { page } if is_woken(commands, *page) => {
                backing.unprotect_and_wake(*page)?;
            }
            Command::Unprotect { page } => backing.unprotect(*page)?,
            Command::Unmap { page, frame } => {
                batch.unmap(*page, *frame, backing, outside)?;
            }
            Command::Wake { page } => {
                if !wakes_by_itself(commands, *page) {
                    backing.wake(*page)?;
                }
                outside.woke(*page);
            }
            Command::Poison { page } => backing.poison(*page)?,
        }
    }
    Ok(())
}

/// Whether the command lets local threads do what they could not.
const fn gives<M>(command: &Command<M>) -> bool {
    match command {
        Command::Map { .. }
        | Command::MapZero { .. }
        | Command::Unprotect { .. }
        | Command::Wake { .. } => true,
        Command::Send { .. }
        | Command::Linger { .. }
        | Command::Store { .. }
        | Command::Protect { .. }
        | Command::Unmap { .. }
        | Command::Poison { .. } => false,
    }
}

/// Whether the commands map `page` in a way that wakes who waits for it.
fn wakes_by_itself<M: PageMessage>(commands: &[Command<M>], page: PageIndex) -> bool {
    let of = |command: &Command<M>| match command {
        Command::Map { page, .. } | Command::Unprotect { page } => Some(*page),
        _ => None,
    };
    commands.iter().any(|command| of(command) == Some(page))
}

/// Whether the commands wake who waits for `page`, which can be done together with mapping it.
fn is_woken<M: PageMessage>(commands: &[Command<M>], page: PageIndex) -> bool {
    !mutant!(SkipsWakes) && commands.contains(&Command::Wake { page })
}
