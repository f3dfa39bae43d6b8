//! A 16550 serial port with a terminal at its other end.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use giantvm_core::AccessSize;
use vm_superio::Trigger;
use vm_superio::serial::{Error, NoEvents, Serial};

use crate::{Device, DeviceError, Origin};

/// Called for each interrupt.
#[derive(Clone)]
struct Line(Arc<dyn Fn() + Send + Sync>);

impl Trigger for Line {
    type E = std::convert::Infallible;

    fn trigger(&self) -> Result<(), Self::E> {
        (self.0)();
        Ok(())
    }
}

type Uart = Serial<Line, NoEvents, Box<dyn Write + Send>>;

/// What the device and its input share.
struct Port {
    uart: Mutex<Uart>,
    /// The guest took something.
    taken: Condvar,
}

impl Port {
    fn uart(&self) -> MutexGuard<'_, Uart> {
        self.uart.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A 16550A serial port, [vm-superio](vm_superio)'s, of which both sides are bytes: what the guest
/// sends is written as it comes, and [`UartInput`] types what it receives.
///
/// The interrupt is a pulse, as on the edge-triggered lines of an ISA bus. It is given with the
/// device's own lock held, so whoever takes it must not block nor access the device.
///
/// ```
/// use giantvm_core::{NodeId, VcpuId};
/// use giantvm_io::devices::UartDevice;
/// use giantvm_io::{AccessSize, Device, Origin};
///
/// let (mut uart, input) = UartDevice::new(std::io::stdout(), || ());
/// let origin = Origin { node: NodeId::ZERO, vcpu: VcpuId::BOOT };
/// assert_eq!(input.type_in(b"y"), 1);
/// assert_eq!(uart.read(origin, 0, AccessSize::Byte)?, u64::from(b'y'));
/// # Ok::<(), giantvm_io::DeviceError>(())
/// ```
pub struct UartDevice {
    port: Arc<Port>,
}

/// The keyboard of a [`UartDevice`].
#[derive(Clone)]
pub struct UartInput {
    port: Arc<Port>,
}

impl UartDevice {
    /// Bytes of its registers.
    pub const BYTES: u64 = 8;

    /// A serial port that writes to `out`, and what types on it.
    pub fn new(
        out: impl Write + Send + 'static,
        interrupt: impl Fn() + Send + Sync + 'static,
    ) -> (Self, UartInput) {
        let out: Box<dyn Write + Send> = Box::new(out);
        let port = Arc::new(Port {
            uart: Mutex::new(Serial::new(Line(Arc::new(interrupt)), out)),
            taken: Condvar::new(),
        });
        let input = UartInput {
            port: Arc::clone(&port),
        };
        (Self { port }, input)
    }
}

impl UartInput {
    /// Types as many of the bytes as the guest has room for now. Returns how many.
    #[must_use = "what did not fit is still to be typed"]
    pub fn type_in(&self, bytes: &[u8]) -> usize {
        type_into(&mut self.port.uart(), bytes)
    }

    /// Types all bytes, as fast as the guest takes them: for ever, if it never does.
    pub fn type_all(&self, mut bytes: &[u8]) {
        let mut uart = self.port.uart();
        while !bytes.is_empty() {
            match type_into(&mut uart, bytes) {
                0 => {
                    let waited = self.port.taken.wait(uart);
                    uart = waited.unwrap_or_else(PoisonError::into_inner);
                }
                typed => bytes = &bytes[typed..],
            }
        }
    }
}

fn type_into(uart: &mut Uart, bytes: &[u8]) -> usize {
    // The only thing that fails here is a full queue.
    uart.enqueue_raw_bytes(bytes).unwrap_or_default()
}

impl fmt::Debug for UartDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UartDevice").finish_non_exhaustive()
    }
}

impl fmt::Debug for UartInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UartInput").finish_non_exhaustive()
    }
}

impl Device for UartDevice {
    fn name(&self) -> &str {
        "uart"
    }

    fn read(&mut self, _: Origin, offset: u64, size: AccessSize) -> Result<u64, DeviceError> {
        let value = self.port.uart().read(register(offset, size)?);
        self.port.taken.notify_all();
        Ok(value.into())
    }

    fn write(
        &mut self,
        _: Origin,
        offset: u64,
        size: AccessSize,
        value: u64,
    ) -> Result<(), DeviceError> {
        let value = u8::try_from(value).map_err(|_| DeviceError::Unsupported)?;
        let written = self.port.uart().write(register(offset, size)?, value);
        // Out of loop-back mode there may be room again.
        self.port.taken.notify_all();
        match written {
            // A terminal that is gone ends the showing, not the machine.
            Ok(()) | Err(Error::IOError(_)) => Ok(()),
            Err(Error::Trigger(_) | Error::FullFifo) => Err(DeviceError::Backend),
        }
    }

    fn reset(&mut self) {
        let mut uart = self.port.uart();
        let line = uart.interrupt_evt().clone();
        let out = std::mem::replace(uart.writer_mut(), Box::new(io::sink()));
        *uart = Serial::new(line, out);
        self.port.taken.notify_all();
    }
}

/// The register of an access: each is one byte.
fn register(offset: u64, size: AccessSize) -> Result<u8, DeviceError> {
    match (u8::try_from(offset), size) {
        (Ok(register @ 0..8), AccessSize::Byte) => Ok(register),
        _ => Err(DeviceError::Unsupported),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread;

    use giantvm_core::{NodeId, VcpuId};

    use super::*;

    const ORIGIN: Origin = Origin {
        node: NodeId::ZERO,
        vcpu: VcpuId::BOOT,
    };
    const DATA: u64 = 0;
    const INTERRUPTS: u64 = 1;
    const MODEM: u64 = 4;
    const STATUS: u64 = 5;

    struct Wire(Sender<u8>);

    impl Write for Wire {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            for &byte in bytes {
                self.0.send(byte).map_err(io::Error::other)?;
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn uart() -> (UartDevice, UartInput, Receiver<u8>, Receiver<()>) {
        let ((sent, shown), (raised, seen)) = (channel(), channel());
        let (uart, input) = UartDevice::new(Wire(sent), move || raised.send(()).unwrap());
        (uart, input, shown, seen)
    }

    #[test]
    fn bytes_go_out_as_they_are_also_when_no_one_looks_any_more() {
        let (mut uart, _, shown, _) = uart();
        for byte in [b'h', 0x1b, 0xff] {
            uart.write(ORIGIN, DATA, AccessSize::Byte, byte.into())
                .unwrap();
            assert_eq!(shown.recv(), Ok(byte));
        }
        drop(shown);
        assert_eq!(uart.write(ORIGIN, DATA, AccessSize::Byte, 1), Ok(()));
    }

    #[test]
    fn typing_waits_for_the_guest_to_read() {
        let (mut uart, input, _, seen) = uart();
        uart.write(ORIGIN, INTERRUPTS, AccessSize::Byte, 1).unwrap();
        let text: Vec<u8> = (0..200).collect();
        let typist = thread::spawn({
            let text = text.clone();
            move || input.type_all(&text)
        });
        let mut read = Vec::new();
        while read.len() < text.len() {
            if uart.read(ORIGIN, STATUS, AccessSize::Byte).unwrap() & 1 == 1 {
                read.push(
                    uart.read(ORIGIN, DATA, AccessSize::Byte)
                        .unwrap()
                        .to_le_bytes()[0],
                );
            }
        }
        typist.join().unwrap();
        assert_eq!(read, text);
        assert!(seen.try_recv().is_ok(), "the guest is told of input");
    }

    #[test]
    fn a_reset_leaves_loop_back_and_keeps_both_ends() {
        let (mut uart, input, shown, _) = uart();
        uart.write(ORIGIN, MODEM, AccessSize::Byte, 0x10).unwrap();
        assert_eq!(input.type_in(b"x"), 0, "no one types into a loop");
        uart.reset();
        assert_eq!(input.type_in(b"x"), 1);
        uart.write(ORIGIN, DATA, AccessSize::Byte, b'!'.into())
            .unwrap();
        assert_eq!(shown.recv(), Ok(b'!'));
    }

    #[test]
    fn only_bytes_are_registers() {
        let (mut uart, ..) = uart();
        assert!(uart.read(ORIGIN, 8, AccessSize::Byte).is_err());
        assert!(uart.read(ORIGIN, 0, AccessSize::Dword).is_err());
        assert!(uart.write(ORIGIN, 0, AccessSize::Word, 0).is_err());
    }
}
