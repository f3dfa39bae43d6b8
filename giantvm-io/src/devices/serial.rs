//! A 16550 serial line whose output tells who wrote it.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use giantvm_core::{AccessSize, NodeId, VcpuId};
use vm_superio::Trigger;
use vm_superio::serial::{NoEvents, Serial};

use crate::{Device, DeviceError, DeviceInterrupt, InterruptSink, Origin};

/// Most bytes of a line; a longer one is shown in pieces.
pub const MAX_LINE: usize = 256;

/// What the guest sent with one write.
#[derive(Debug, Default)]
struct Sent(Vec<u8>);

impl Write for Sent {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The serial line's interrupt, if it has one.
#[derive(Clone)]
struct Line(Option<(Arc<dyn InterruptSink>, DeviceInterrupt)>);

impl Trigger for Line {
    type E = std::convert::Infallible;

    fn trigger(&self) -> Result<(), Self::E> {
        if let Some((sink, interrupt)) = &self.0 {
            sink.raise(*interrupt);
        }
        Ok(())
    }
}

/// Takes the lines.
type Show = dyn FnMut(Origin, &[u8]) + Send;

/// A 16550 serial port, [vm-superio](vm_superio)'s, with its output taken apart into lines.
///
/// Several vCPUs that write at a time do not mix: each has a line of its own, which is shown when it
/// ends with a newline, reaches [`MAX_LINE`] bytes, or the machine stops. Lines come without their
/// ends, and are whatever bytes the guest wrote.
///
/// ```
/// use giantvm_core::{NodeId, VcpuId};
/// use giantvm_io::devices::SerialDevice;
/// use giantvm_io::{AccessSize, Device, Origin};
///
/// let (lines, shown) = std::sync::mpsc::channel();
/// let mut serial = SerialDevice::new(move |origin, line| lines.send((origin, line.to_vec())).unwrap());
/// let origin = Origin { node: NodeId::ZERO, vcpu: VcpuId::BOOT };
/// for byte in *b"hi\r\n" {
///     serial.write(origin, 0, AccessSize::Byte, byte.into())?;
/// }
/// assert_eq!(shown.recv(), Ok((origin, b"hi".to_vec())));
/// # Ok::<(), giantvm_io::DeviceError>(())
/// ```
pub struct SerialDevice {
    uart: Serial<Line, NoEvents, Sent>,
    show: Box<Show>,
    /// What each vCPU has written since its last line, wherever it ran; and where it did last.
    lines: BTreeMap<VcpuId, (NodeId, Vec<u8>)>,
}

impl SerialDevice {
    /// Bytes of its registers.
    pub const BYTES: u64 = 8;

    /// A serial line without an interrupt, whose output goes to `show`, line by line.
    pub fn new(show: impl FnMut(Origin, &[u8]) + Send + 'static) -> Self {
        Self {
            uart: Serial::new(Line(None), Sent::default()),
            show: Box::new(show),
            lines: BTreeMap::new(),
        }
    }

    /// The same line with an interrupt, which it raises when the guest enables it and output has
    /// gone out.
    #[must_use]
    pub fn with_interrupt(
        mut self,
        sink: Arc<dyn InterruptSink>,
        interrupt: DeviceInterrupt,
    ) -> Self {
        self.uart = Serial::new(Line(Some((sink, interrupt))), Sent::default());
        self
    }

    fn output(&mut self, origin: Origin, byte: u8) {
        let begun = self.lines.entry(origin.vcpu);
        let (node, line) = begun.or_insert((origin.node, Vec::new()));
        *node = origin.node;
        if byte != b'\n' {
            line.push(byte);
        }
        if byte == b'\n' || line.len() >= MAX_LINE {
            let line = std::mem::take(line);
            self.lines.remove(&origin.vcpu);
            (self.show)(origin, line.strip_suffix(b"\r").unwrap_or(&line));
        }
    }
}

impl fmt::Debug for SerialDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("SerialDevice");
        debug.field("lines", &self.lines).finish_non_exhaustive()
    }
}

/// The register of an access: each is one byte.
fn register(offset: u64, size: AccessSize) -> Result<u8, DeviceError> {
    match (u8::try_from(offset), size) {
        (Ok(register @ 0..8), AccessSize::Byte) => Ok(register),
        _ => Err(DeviceError::Unsupported),
    }
}

impl Device for SerialDevice {
    fn name(&self) -> &str {
        "serial"
    }

    fn read(&mut self, _: Origin, offset: u64, size: AccessSize) -> Result<u64, DeviceError> {
        Ok(self.uart.read(register(offset, size)?).into())
    }

    fn write(
        &mut self,
        origin: Origin,
        offset: u64,
        size: AccessSize,
        value: u64,
    ) -> Result<(), DeviceError> {
        let register = register(offset, size)?;
        let value = u8::try_from(value).map_err(|_| DeviceError::Unsupported)?;
        let written = self.uart.write(register, value);
        for byte in std::mem::take(&mut self.uart.writer_mut().0) {
            self.output(origin, byte);
        }
        written.map_err(|_| DeviceError::Backend)
    }

    fn reset(&mut self) {
        for (vcpu, (node, line)) in std::mem::take(&mut self.lines) {
            (self.show)(Origin { node, vcpu }, &line);
        }
        let line = self.uart.interrupt_evt().clone();
        self.uart = Serial::new(line, Sent::default());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    fn vcpu(number: u8) -> Origin {
        Origin {
            node: NodeId::ZERO,
            vcpu: VcpuId::new(number).unwrap(),
        }
    }

    fn serial() -> (SerialDevice, Receiver<(u8, String)>) {
        let (lines, shown) = channel();
        let serial = SerialDevice::new(move |origin, line| {
            let line = String::from_utf8_lossy(line).into_owned();
            lines.send((origin.vcpu.get(), line)).unwrap();
        });
        (serial, shown)
    }

    #[test]
    fn lines_of_several_vcpus_do_not_mix() {
        let (mut serial, shown) = serial();
        for (a, b) in "first\n".bytes().zip("second".bytes()) {
            serial
                .write(vcpu(1), 0, AccessSize::Byte, a.into())
                .unwrap();
            serial
                .write(vcpu(2), 0, AccessSize::Byte, b.into())
                .unwrap();
        }
        assert_eq!(shown.try_iter().collect::<Vec<_>>(), [(1, "first".into())]);
        serial.reset();
        assert_eq!(shown.try_iter().collect::<Vec<_>>(), [(2, "second".into())]);
    }

    #[test]
    fn a_vcpu_that_moves_in_the_middle_of_a_line_ends_it_where_it_is() {
        let (lines, shown) = channel();
        let show = move |origin: Origin, line: &[u8]| lines.send((origin, line.to_vec())).unwrap();
        let mut serial = SerialDevice::new(show);
        let (here, node) = (vcpu(1), NodeId::new(3).unwrap());
        let there = Origin { node, ..here };
        for (origin, byte) in [(here, b'a'), (there, b'b'), (there, b'\n'), (there, b'c')] {
            serial
                .write(origin, 0, AccessSize::Byte, byte.into())
                .unwrap();
        }
        serial.reset();
        let shown: Vec<_> = shown.try_iter().collect();
        assert_eq!(shown, [(there, b"ab".to_vec()), (there, b"c".to_vec())]);
    }

    #[test]
    fn a_line_without_end_is_shown_in_pieces() {
        let (mut serial, shown) = serial();
        for _ in 0..2 * MAX_LINE + 1 {
            serial
                .write(vcpu(0), 0, AccessSize::Byte, b'x'.into())
                .unwrap();
        }
        let pieces: Vec<_> = shown.try_iter().map(|(_, line)| line.len()).collect();
        assert_eq!(pieces, [MAX_LINE, MAX_LINE]);
    }

    #[test]
    fn it_is_a_16550_to_a_driver() {
        let (mut serial, shown) = serial();
        let (scratch, line_status) = (7, 5);
        serial
            .write(vcpu(0), scratch, AccessSize::Byte, 0x5a)
            .unwrap();
        assert_eq!(serial.read(vcpu(0), scratch, AccessSize::Byte), Ok(0x5a));
        assert_eq!(
            serial.read(vcpu(0), line_status, AccessSize::Byte),
            Ok(0x60),
            "ready to send"
        );
        // With the divisor latch open, offset 0 is no data.
        serial.write(vcpu(0), 3, AccessSize::Byte, 0x80).unwrap();
        serial
            .write(vcpu(0), 0, AccessSize::Byte, b'\n'.into())
            .unwrap();
        assert!(shown.try_recv().is_err());
        assert!(serial.read(vcpu(0), 8, AccessSize::Byte).is_err());
        assert!(serial.read(vcpu(0), 0, AccessSize::Dword).is_err());
    }

    #[test]
    fn output_raises_the_interrupt_when_it_is_enabled() {
        let (raised, seen) = channel();
        let interrupt = DeviceInterrupt::Vector {
            vcpu: VcpuId::BOOT,
            vector: 0x24,
        };
        let sink = Arc::new(move |interrupt| raised.send(interrupt).unwrap());
        let mut serial = SerialDevice::new(|_, _| ()).with_interrupt(sink, interrupt);
        serial
            .write(vcpu(3), 0, AccessSize::Byte, b'x'.into())
            .unwrap();
        assert!(seen.try_recv().is_err());
        serial.write(vcpu(3), 1, AccessSize::Byte, 0b10).unwrap();
        assert_eq!(seen.try_recv(), Ok(interrupt));
    }
}
