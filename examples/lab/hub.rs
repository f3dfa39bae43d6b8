//! A network for emulated hosts: what one sends, all others get.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;

/// QEMU sends no longer frame.
const LONGEST: usize = 1 << 17;
/// A host that takes nothing for so long is not waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// The network; it is gone with its directory.
#[derive(Debug)]
pub(crate) struct Hub {
    directory: tempfile::TempDir,
}

type Ports = Arc<Mutex<Vec<(usize, UnixStream)>>>;

impl Hub {
    /// Starts one that takes `hosts` hosts.
    pub(crate) fn start(hosts: usize) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let hub = Self { directory };
        let listener = UnixListener::bind(hub.socket()).context("cannot make a network")?;
        let ports = Ports::default();
        thread::spawn(move || {
            for (port, stream) in listener.incoming().flatten().take(hosts).enumerate() {
                let ports = ports.clone();
                thread::spawn(move || serve(port, stream, &ports));
            }
        });
        Ok(hub)
    }

    /// Where hosts connect.
    pub(crate) fn socket(&self) -> PathBuf {
        Path::new(self.directory.path()).join("hub")
    }
}

/// Passes on what one host sends until it ends.
fn serve(port: usize, mut stream: UnixStream, ports: &Ports) {
    let lock = || ports.lock().unwrap_or_else(PoisonError::into_inner);
    let Ok(other) = stream.try_clone() else {
        return;
    };
    other.set_write_timeout(Some(PATIENCE)).ok();
    lock().push((port, other));
    while let Some(frame) = frame(&mut stream) {
        // A host that has ended, or does not listen, is no longer on the network.
        lock().retain_mut(|(to, stream)| *to == port || stream.write_all(&frame).is_ok());
    }
    lock().retain(|(known, _)| *known != port);
}

/// The next frame with its length before it, as QEMU sends and takes it.
fn frame(stream: &mut UnixStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let size = usize::try_from(u32::from_be_bytes(length)).ok()?;
    let mut frame = vec![0; 4 + size.min(LONGEST)];
    frame[..4].copy_from_slice(&length);
    stream.read_exact(&mut frame[4..]).ok()?;
    (size <= LONGEST).then_some(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(stream: &mut UnixStream, text: &str) {
        let length = u32::try_from(text.len()).unwrap();
        stream.write_all(&length.to_be_bytes()).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn what_one_sends_all_others_get() {
        let hub = Hub::start(3).unwrap();
        let mut hosts = [(); 3].map(|()| {
            let stream = UnixStream::connect(hub.socket()).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream
        });
        // Whoever is not on the network yet misses a frame, as on a real one.
        loop {
            let [a, b, c] = &mut hosts;
            send(a, "hello");
            let heard = [b, c].map(|other| {
                other
                    .set_read_timeout(Some(Duration::from_millis(100)))
                    .unwrap();
                frame(other).is_some_and(|frame| frame.ends_with(b"hello"))
            });
            if heard == [true; 2] {
                break;
            }
        }
        hosts[0].set_nonblocking(true).unwrap();
        assert_eq!(frame(&mut hosts[0]), None, "no one gets his own");
    }

    #[test]
    fn a_frame_that_is_too_long_ends_the_connection() {
        let (mut a, mut b) = UnixStream::pair().unwrap();
        let length = u32::try_from(LONGEST + 1).unwrap();
        a.write_all(&length.to_be_bytes()).unwrap();
        a.write_all(&vec![0; LONGEST + 1]).unwrap();
        assert_eq!(frame(&mut b), None);
    }
}
