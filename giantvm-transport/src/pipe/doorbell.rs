//! How the two ends of a pair of pipes wake each other.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

/// One end of the socket over which the segment was handed over: a byte sent rings at the other end.
///
/// Not an event descriptor: both processes would hold the same one, and the other could make it
/// block, or read it empty. The ends of a socket are each their holder's own.
#[derive(Debug)]
pub(crate) struct Doorbell(UnixStream);

impl Doorbell {
    pub(crate) const fn new(stream: UnixStream) -> Self {
        Self(stream)
    }

    /// Rings at the other end.
    pub(crate) fn ring(&self) {
        // With a full buffer it rings already, and without the other end there is no one to wake.
        send(&self.0, &[1], SendFlags::DONTWAIT | SendFlags::NOSIGNAL).ok();
    }

    /// Ends the ringing at this end, or some of it. `false` if the other end is gone, so that it cannot be ended.
    pub(crate) fn silence(&self) -> bool {
        // Once, however much there is: who rings without end is silenced a little at every look, and
        // keeps no one here.
        match recv(&self.0, &mut [0; 1024][..], RecvFlags::DONTWAIT) {
            Ok((0, _)) => false,
            Ok(_) | Err(Errno::INTR | Errno::AGAIN) => true,
            Err(_) => false,
        }
    }
}

impl AsFd for Doorbell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    fn rings(bell: &Doorbell) -> bool {
        let mut fds = [PollFd::new(bell, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())).unwrap() > 0
    }

    fn pair() -> [Doorbell; 2] {
        let (here, there) = UnixStream::pair().unwrap();
        [here, there].map(Doorbell::new)
    }

    #[test]
    fn a_bell_rings_at_the_other_end_until_it_is_silenced() {
        let [here, there] = pair();
        assert!(!rings(&there));
        (0..1000).for_each(|_| here.ring());
        assert!(rings(&there) && !rings(&here));
        while rings(&there) {
            assert!(there.silence());
        }
        here.ring();
        assert!(rings(&there));
    }

    #[test]
    fn neither_end_ever_waits_for_the_other() {
        let [here, there] = pair();
        // Far more than the buffer holds, and no one reads.
        (0..1_000_000).for_each(|_| here.ring());
        assert!(rings(&there));
        drop(there);
        here.ring();
        assert!(!here.silence());
    }
}
