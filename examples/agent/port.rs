//! The channel, from the guest's side.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use giantvm_sched::channel::{ChannelError, Message, Report, Snapshot, Stream};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The port's name, and where its device is by that name if the system has udev.
const NAME: &str = "giantvm.channel";
const BY_NAME: &str = "/dev/virtio-ports";
/// Where the kernel tells ports' names, and where their devices are.
const CLASS: &str = "/sys/class/virtio-ports";
const DEVICES: &str = "/dev";
/// How long the host may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked whether the host listens, if it does not.
const NAP: Duration = Duration::from_millis(20);
/// Bytes that are read at a time.
const PIECE: usize = 16 << 10;

/// The channel does not work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PortError {
    #[error(
        "there is no channel to the host: no port of a virtio console is named {NAME}. Start the machine \
         with `aggregate --channel`, and load the module virtio_console; or name one with --channel"
    )]
    None,
    #[error("cannot open the channel {0}: another agent may have it, or its group is not yours")]
    Open(PathBuf, #[source] io::Error),
    #[error("the channel ended: nobody listens at the host's side")]
    Ended,
    #[error("the channel failed")]
    Failed(#[from] io::Error),
    #[error("the host does not answer within {} s: {bytes} bytes came, {skipped} of them no message", PATIENCE.as_secs())]
    Late { bytes: u64, skipped: u64 },
    #[error(transparent)]
    Foreign(ChannelError),
}

/// An open channel.
#[derive(Debug)]
pub(crate) struct Port {
    file: File,
    stream: Stream,
    /// The number of the last question.
    asked: u64,
    /// Bytes that came.
    came: u64,
}

impl Port {
    /// Opens the channel at `path`, or wherever the port is.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, PortError> {
        let path = match path {
            Some(path) => path.to_owned(),
            None => find(Path::new(BY_NAME), Path::new(CLASS), Path::new(DEVICES))
                .ok_or(PortError::None)?,
        };
        let opened = open(&path).map_err(|error| PortError::Open(path, error))?;
        // Another number than an agent's before this one, whose answers may still be on their way.
        let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        Ok(Self {
            file: opened.into(),
            stream: Stream::default(),
            asked: u64::try_from(since.as_nanos()).unwrap_or_default(),
            came: 0,
        })
    }

    /// Tells the host of threads.
    pub(crate) fn tell(&mut self, report: Report) -> Result<(), PortError> {
        self.write(&Message::from(report).encode(), Instant::now() + PATIENCE)
    }

    /// Asks the host for all it knows.
    pub(crate) fn ask(&mut self) -> Result<Snapshot, PortError> {
        self.asked = self.asked.wrapping_add(1);
        let deadline = Instant::now() + PATIENCE;
        self.write(&Message::Ask(self.asked).encode(), deadline)?;
        let mut piece = vec![0; PIECE];
        loop {
            while let Some(message) = self.stream.next_message() {
                match message {
                    Message::Snapshot(snapshot) if snapshot.id == self.asked => {
                        return Ok(*snapshot);
                    }
                    // Answers to questions of before, or what only guests say.
                    Message::Snapshot(_) | Message::Ask(_) | Message::Report(_) => {}
                }
            }
            if let Some(error @ ChannelError::Version(_)) = self.stream.take_refused() {
                return Err(PortError::Foreign(error));
            }
            self.wait(PollFlags::IN, deadline)?;
            match self.file.read(&mut piece) {
                Ok(0) => return Err(PortError::Ended),
                Ok(read) => {
                    self.stream.feed(&piece[..read]);
                    self.came += read as u64;
                }
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn write(&mut self, mut bytes: &[u8], deadline: Instant) -> Result<(), PortError> {
        while !bytes.is_empty() {
            self.wait(PollFlags::OUT, deadline)?;
            match self.file.write(bytes) {
                Ok(0) => return Err(PortError::Ended),
                Ok(written) => bytes = &bytes[written..],
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn wait(&self, events: PollFlags, deadline: Instant) -> Result<(), PortError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let late = PortError::Late {
            bytes: self.came,
            skipped: self.stream.skipped(),
        };
        let Some(left) = Timespec::try_from(left).ok().filter(|_| !left.is_zero()) else {
            return Err(late);
        };
        let mut wait = [PollFd::new(&self.file, events)];
        match poll(&mut wait, Some(&left)) {
            Ok(0) => return Err(late),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(PortError::Failed(error.into())),
        }
        let came = wait[0].revents();
        if came.contains(PollFlags::HUP) && !came.intersects(events) {
            // A port whose host is not there yet says so at once and all the time.
            std::thread::sleep(NAP);
        }
        Ok(())
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    if fs::metadata(path)?.file_type().is_socket() {
        let socket = UnixStream::connect(path)?;
        socket.set_nonblocking(true)?;
        return Ok(socket.into());
    }
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let mut options = File::options();
    options.read(true).write(true).custom_flags(nonblocking);
    options.open(path).map(OwnedFd::from)
}

/// The device of the port: by its name where udev says it, else where the kernel does.
fn find(by_name: &Path, class: &Path, devices: &Path) -> Option<PathBuf> {
    let named = by_name.join(NAME);
    if named.exists() {
        return Some(named);
    }
    let mut ports = fs::read_dir(class).ok()?.filter_map(Result::ok);
    let port = ports.find(|port| {
        let name = fs::read_to_string(port.path().join("name"));
        name.is_ok_and(|name| name.trim_end() == NAME)
    })?;
    Some(devices.join(port.file_name()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use giantvm_sched::schedule::Machine;

    use super::*;

    /// A host that says `answers` to the first question.
    fn host(answers: impl FnOnce(u64) -> Vec<u8> + Send + 'static) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("channel");
        let listener = UnixListener::bind(&path).unwrap();
        thread::spawn(move || {
            let (mut guest, _) = listener.accept().unwrap();
            let mut asked = [0; 24];
            guest.read_exact(&mut asked).unwrap();
            let Ok(Message::Ask(id)) = Message::decode(&asked) else {
                panic!("the agent asks");
            };
            guest.write_all(&answers(id)).unwrap();
        });
        (folder, path)
    }

    fn snapshot(id: u64) -> Vec<u8> {
        let mut snapshot = Snapshot::new(Machine::new(&[1, 1]).unwrap());
        snapshot.id = id;
        Message::from(snapshot).encode()
    }

    #[test]
    fn the_answer_to_this_question_counts_and_no_other() {
        let (_folder, path) = host(|id| {
            let stale = snapshot(id.wrapping_sub(1));
            [&stale[50..], &stale, &snapshot(id)].concat()
        });
        let mut port = Port::open(Some(&path)).unwrap();
        assert_eq!(port.ask().unwrap().id, port.asked);
    }

    #[test]
    fn a_host_of_another_version_or_without_an_answer_is_told_as_such() {
        let (_folder, path) = host(|id| {
            let mut other = snapshot(id);
            other[4] = 2;
            other
        });
        let error = Port::open(Some(&path)).unwrap().ask().unwrap_err();
        assert!(
            matches!(error, PortError::Foreign(ChannelError::Version(2))),
            "{error}"
        );
        let (_folder, path) = host(|_| Vec::new());
        let error = Port::open(Some(&path)).unwrap().ask().unwrap_err();
        assert!(matches!(error, PortError::Ended), "{error}");
    }

    #[test]
    fn the_port_is_found_by_its_name_with_udev_or_without() {
        let folder = tempfile::tempdir().unwrap();
        let [by_name, class, devices] =
            ["by-name", "class", "dev"].map(|name| folder.path().join(name));
        assert_eq!(find(&by_name, &class, &devices), None);
        for (port, name) in [("vport0p1", "org.example"), ("vport1p0", NAME)] {
            fs::create_dir_all(class.join(port)).unwrap();
            fs::write(class.join(port).join("name"), format!("{name}\n")).unwrap();
        }
        assert_eq!(
            find(&by_name, &class, &devices),
            Some(devices.join("vport1p0"))
        );
        fs::create_dir_all(&by_name).unwrap();
        fs::write(by_name.join(NAME), "").unwrap();
        assert_eq!(find(&by_name, &class, &devices), Some(by_name.join(NAME)));
        let error = Port::open(Some(&folder.path().join("none"))).unwrap_err();
        assert!(matches!(error, PortError::Open(..)));
    }
}
