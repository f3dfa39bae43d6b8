//! A console's own terminal, to which a link leads.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::Path;

use giantvm_io::virtio::console::Console;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

/// How long someone who reads may take to make room. Only the console waits.
const PATIENCE: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// A console on a new pseudo-terminal, to which `link` leads from now on. A link of that name is
/// replaced, as an earlier run leaves it behind; anything else of that name is not.
pub(super) fn console(link: &Path) -> io::Result<Console> {
    let (screen, keyboard, name) = terminal()?;
    lead(link, &name)?;
    let mut screen = screen;
    Ok(Console::new(move |bytes| screen.put(bytes)).with_input(keyboard))
}

/// Makes a terminal: where output goes, where input comes from, and its name.
fn terminal() -> io::Result<(Screen, OwnedFd, String)> {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&controller)?;
    unlockpt(&controller)?;
    let name = ptsname(&controller, Vec::new())?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let terminal = open(name.as_c_str(), flags, Mode::empty())?;
    // The guest echoes and edits.
    let mut raw = tcgetattr(&terminal)?;
    raw.make_raw();
    tcsetattr(&terminal, OptionalActions::Now, &raw)?;
    fcntl_setfl(&controller, fcntl_getfl(&controller)? | OFlags::NONBLOCK)?;
    let screen = Screen {
        controller: File::from(controller.try_clone()?),
        _terminal: terminal,
        read: true,
    };
    Ok((screen, controller, name.to_string_lossy().into_owned()))
}

/// Makes a link lead to a terminal.
fn lead(link: &Path, terminal: &str) -> io::Result<()> {
    if fs::symlink_metadata(link).is_ok_and(|found| found.is_symlink()) {
        fs::remove_file(link)?;
    }
    symlink(terminal, link)
}

/// Where the guest's output goes.
#[derive(Debug)]
struct Screen {
    controller: File,
    /// Kept open: a terminal that no one has open has no input ever again.
    _terminal: OwnedFd,
    /// Whether anyone reads, as far as can be told.
    read: bool,
}

impl Screen {
    /// Puts out what there is room for. While no one reads, that is what a terminal holds, once; the
    /// rest is lost.
    fn put(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.controller.write(bytes) {
                Ok(0) => return,
                Ok(written) => {
                    self.read = true;
                    bytes = &bytes[written..];
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock && self.read => {
                    self.read = self.has_room();
                }
                Err(_) => return,
            }
        }
    }

    /// Waits for room. Whether there is any.
    fn has_room(&self) -> bool {
        let mut wait = [PollFd::new(&self.controller, PollFlags::OUT)];
        matches!(poll(&mut wait, Some(&PATIENCE)), Ok(1..))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn reader(terminal: &str) -> File {
        let mut options = File::options();
        options.read(true).write(true).open(terminal).unwrap()
    }

    #[test]
    fn a_link_leads_to_the_terminal_and_replaces_links_only() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("hvc0");
        symlink("/nowhere", &link).unwrap();
        lead(&link, "/dev/null").unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("/dev/null"));
        let file = folder.path().join("file");
        fs::write(&file, "precious").unwrap();
        assert!(console(&file).is_err());
        assert_eq!(fs::read(&file).unwrap(), b"precious");
    }

    #[test]
    fn what_is_put_out_comes_as_it_is_and_waits_for_its_reader() {
        let (mut screen, _, name) = terminal().unwrap();
        let text: Vec<u8> = (0..1 << 18).map(|at: u32| (at % 251) as u8).collect();
        let mut reader = reader(&name);
        let expected = text.clone();
        let reading = std::thread::spawn(move || {
            let mut came = vec![0; expected.len()];
            reader.read_exact(&mut came).unwrap();
            assert!(came == expected);
        });
        screen.put(&text);
        reading.join().unwrap();
    }

    #[test]
    fn without_a_reader_output_ends_and_goes_on_when_one_comes() {
        let (mut screen, _, name) = terminal().unwrap();
        screen.put(&vec![b'x'; 1 << 20]);
        assert!(!screen.read, "a terminal does not hold that much");
        screen.put(b"lost at once");
        let mut reader = reader(&name);
        while !screen.read {
            let mut piece = [0; 4096];
            assert!(reader.read(&mut piece).unwrap() > 0);
            screen.put(b"y");
        }
    }
}
