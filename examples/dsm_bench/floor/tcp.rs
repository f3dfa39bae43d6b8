//! A bare TCP connection.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread::yield_now;
use std::time::Duration;

use anyhow::bail;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::wire::{Wait, Wire};
use crate::far::FarSide;

/// How often to look before others who want the processor get it.
const LOOKS: u32 = 2000;

/// One end.
#[derive(Debug)]
pub(crate) struct Tcp(TcpStream);

impl Tcp {
    /// Waits for the other process to call, unless it ends.
    pub(super) fn accept(listener: &TcpListener, far: &mut FarSide) -> anyhow::Result<Self> {
        listener.set_nonblocking(true)?;
        let stream = loop {
            match listener.accept() {
                Ok((stream, _)) => break stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
            if far.has_ended()? {
                bail!("node b ended before it was reached");
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    pub(super) fn connect(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    fn look_for(&self, data: &mut [u8]) -> io::Result<usize> {
        loop {
            for _ in 0..LOOKS {
                match recv(&self.0, &mut *data, RecvFlags::DONTWAIT) {
                    Ok((got, _)) => return Ok(got),
                    Err(Errno::AGAIN | Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            yield_now();
        }
    }
}

impl Wire for Tcp {
    fn send(&mut self, data: &[u8], _: Wait) -> io::Result<()> {
        self.0.write_all(data)
    }

    fn receive(&mut self, data: &mut [u8], wait: Wait) -> io::Result<()> {
        if wait == Wait::Blocking {
            return self.0.read_exact(data);
        }
        let mut at = 0;
        while at < data.len() {
            match self.look_for(&mut data[at..])? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                got => at += got,
            }
        }
        Ok(())
    }
}
