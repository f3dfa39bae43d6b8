//! What the user types, on its way to the console.

use std::fs::File;
use std::io::{self, Read, Stdin};

use giantvm_io::devices::UartInput;
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcsetattr,
};

/// Ctrl-A: what the user tells this program, and not the guest, begins with it.
const ESCAPE: u8 = 0x01;
/// What ends the machine after that.
const QUIT: u8 = b'x';

/// Takes what is for this program out of what is typed.
#[derive(Debug, Default)]
struct Filter {
    escaped: bool,
}

impl Filter {
    /// What is for the guest, and whether the user wants to leave.
    fn take(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let mut guest = Vec::new();
        for &byte in typed {
            let escaped = std::mem::take(&mut self.escaped);
            match byte {
                QUIT if escaped => return (guest, true),
                ESCAPE if !escaped => self.escaped = true,
                // What means nothing after an escape is dropped with it.
                ESCAPE => guest.push(byte),
                _ if escaped => {}
                _ => guest.push(byte),
            }
        }
        (guest, false)
    }
}

/// Types what the user does on the guest's console, on a thread of its own, until it ends; calls
/// `quit` when the user wants to leave.
pub(crate) fn listen(
    keyboard: Keyboard,
    console: UartInput,
    quit: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let Some(mut source) = keyboard.open()? else {
        return Ok(());
    };
    let listen = move || {
        let (mut filter, mut bytes) = (Filter::default(), [0; 256]);
        while let Ok(count @ 1..) = source.read(&mut bytes) {
            let (guest, leaves) = filter.take(&bytes[..count]);
            console.type_all(&guest);
            if leaves {
                quit();
                return;
            }
        }
    };
    std::thread::Builder::new()
        .name("keyboard".into())
        .spawn(listen)
        .map(drop)
}

/// Where what the user types comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keyboard {
    /// From nowhere: this process' standard input is for something else.
    None,
    /// This process' standard input.
    Own,
    /// A descriptor, from the process that started this one.
    Inherited(u32),
}

impl Keyboard {
    fn open(self) -> io::Result<Option<Box<dyn Read + Send>>> {
        Ok(match self {
            Self::None => None,
            Self::Own => Some(Box::new(io::stdin())),
            Self::Inherited(number) => {
                Some(Box::new(File::open(format!("/proc/self/fd/{number}"))?))
            }
        })
    }
}

/// A terminal that hands on every key as it is; dropping this makes it what it was.
#[derive(Debug)]
pub(crate) struct RawTerminal {
    terminal: Stdin,
    before: Termios,
}

impl RawTerminal {
    /// The standard input, if it is a terminal.
    pub(crate) fn new() -> Option<Self> {
        let terminal = io::stdin();
        let before = isatty(&terminal).then(|| tcgetattr(&terminal).ok())??;
        let mut raw = before.clone();
        raw.local_modes -=
            LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG | LocalModes::IEXTEN;
        raw.input_modes -= InputModes::ICRNL | InputModes::IXON;
        tcsetattr(&terminal, OptionalActions::Now, &raw).ok()?;
        Some(Self { terminal, before })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        tcsetattr(&self.terminal, OptionalActions::Now, &self.before).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_escape_is_typed_twice_to_be_typed_once() {
        let mut filter = Filter::default();
        assert_eq!(filter.take(b"a\x01"), (b"a".to_vec(), false));
        assert_eq!(filter.take(b"\x01b\x03"), (b"\x01b\x03".to_vec(), false));
        assert_eq!(filter.take(b"\x01qx"), (b"x".to_vec(), false));
        assert_eq!(filter.take(b"c\x01xd"), (b"c".to_vec(), true));
    }
}
