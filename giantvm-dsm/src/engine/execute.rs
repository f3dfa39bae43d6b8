//! Carries out the commands of one input, in order and completely.
//!
//! The same code serves the real pump and the simulated node: only where messages go, and who is
//! told of what was done, differs.

use giantvm_core::{NodeId, PageIndex};

use crate::backing::{Backing, BackingError};
use crate::mutants::mutant;
use crate::protocol::{Attach, Command, PageMessage};

/// What was done to the local memory, for whoever counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// A page's bytes were put into its frame.
    Stored,
    /// A page was mapped full of zeroes.
    Zeroed,
    /// The right to write was taken away.
    Protected,
    /// A mapping was taken away.
    Unmapped,
}

/// The world outside a node's memory.
pub(crate) trait Outside<M> {
    /// Takes a message to `to`, with the bytes of its page if they go along.
    fn send(&mut self, to: NodeId, message: &M, page: Option<&[u8]>);

    /// Is told that the threads which waited for `page` try again.
    fn woke(&mut self, page: PageIndex);

    /// Is told what was done.
    fn did(&mut self, deed: Deed);
}

/// Carries out `commands`; `payload` is what came with the message that they answer.
pub(crate) fn execute<M: PageMessage>(
    commands: &[Command<M>],
    payload: Option<&[u8]>,
    backing: &mut dyn Backing,
    outside: &mut impl Outside<M>,
) -> Result<(), BackingError> {
    let sends = |command: &&Command<M>| matches!(command, Command::Send { .. });
    let first = commands
        .iter()
        .filter(|command| mutant!(SendsFirst) && sends(command));
    let then = commands
        .iter()
        .filter(|command| !mutant!(SendsFirst) || !sends(command));
    for command in first.chain(then) {
        match command {
            Command::Send {
                to,
                message,
                attach,
            } => {
                let page = match attach {
                    Attach::Nothing => None,
                    Attach::Page => Some(backing.frame(message.page())?),
                };
                outside.send(*to, message, page);
            }
            Command::Store { .. } if mutant!(SkipsStores) => {}
            Command::Protect { .. } if mutant!(SkipsProtects) => {}
            Command::Unmap { .. } if mutant!(SkipsUnmaps) => {}
            Command::Wake { .. } if mutant!(SkipsWakes) => {}
            Command::Store { page } => {
                backing.store(*page, payload.unwrap_or_default())?;
                outside.did(Deed::Stored);
            }
            Command::Map { page, rights } => backing.map(*page, *rights)?,
            Command::MapZero { page, rights } => {
                backing.map_zero(*page, *rights)?;
                outside.did(Deed::Zeroed);
            }
            Command::Protect { page } => {
                backing.protect(*page)?;
                outside.did(Deed::Protected);
            }
            Command::Unprotect { page } => backing.unprotect(*page)?,
            Command::Unmap { page, frame } => {
                backing.unmap(*page, *frame)?;
                outside.did(Deed::Unmapped);
            }
            Command::Wake { page } => {
                backing.wake(*page)?;
                outside.woke(*page);
            }
            Command::Poison { page } => backing.poison(*page)?,
        }
    }
    Ok(())
}
