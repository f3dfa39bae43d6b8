//! Where a network card's frames go and come from.

use std::fmt::{self, Debug};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;

use tun_rs::{DeviceBuilder, Layer, SyncDevice};

/// A port of a network, which takes and gives whole Ethernet frames.
///
/// A pair of [`UnixDatagram`]s is a cable.
pub trait NetPort: AsFd + Send + Debug + 'static {
    /// Makes the port fail where it would wait.
    ///
    /// # Errors
    /// What the system says.
    fn unblock(&self) -> io::Result<()>;

    /// Takes a frame from the network; what of it does not fit is lost.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where there is none; else what the system says.
    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Gives a frame to the network.
    ///
    /// # Errors
    /// What the system says; then the frame is lost.
    fn send(&self, frame: &[u8]) -> io::Result<()>;
}

impl NetPort for UnixDatagram {
    fn unblock(&self) -> io::Result<()> {
        self.set_nonblocking(true)
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv(buffer)
    }

    fn send(&self, frame: &[u8]) -> io::Result<()> {
        UnixDatagram::send(self, frame).map(drop)
    }
}

/// A tap: a network interface of the host whose other end is here.
pub struct Tap(SyncDevice);

impl Tap {
    /// The tap of this name. It is made where it does not exist, and not brought up: addresses and
    /// bridges are whoever's that runs the host. One that exists can be had without privileges if
    /// it was made for the user.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(name: &str) -> io::Result<Self> {
        let tap = DeviceBuilder::new().name(name).layer(Layer::L2);
        Ok(Self(tap.inherit_enable_state().build_sync()?))
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap").finish_non_exhaustive()
    }
}

impl NetPort for Tap {
    fn unblock(&self) -> io::Result<()> {
        self.0.set_nonblocking(true)
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.recv(buffer)
    }

    fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.0.send(frame).map(drop)
    }
}
