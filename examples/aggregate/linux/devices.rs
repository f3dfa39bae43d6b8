//! The devices of a PC that Linux needs, each on the node that the placement names.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use giantvm_core::NodeId;
use giantvm_io::acpi::{Devices as Described, PowerPorts, SerialPort};
use giantvm_io::devices::{PanicDevice, PowerDevice, PowerEvent, RtcDevice, UartDevice, UartInput};
use giantvm_io::ioapic::{self, IoApic, IoApicDevice, Lines, Pin};
use giantvm_io::{BusBuilder, Device, Origin, Window};
use giantvm_sched::{DeviceKind, Placement};

use super::absent::Absent;
use super::attached::Attachment;
use super::interrupts::LineOutput;
use super::late::LateMemory;
use super::terminal::Output;
use crate::channel::Channel;
use crate::lifecycle::LifecycleDriver;

/// The first serial port of a PC, and its interrupt line.
const UART_PORT: u16 = 0x3f8;
const UART_LINE: u8 = 4;
/// The index port of the clock.
const RTC_PORT: u16 = 0x70;
/// The keyboard controller's command port, which resets a machine that ACPI could not.
const KEYBOARD_PORT: u16 = 0x64;
/// The interval timer that a kernel looks for, and the port by which it is heard.
const TIMER_PORTS: [(u16, u64); 2] = [(0x40, 4), (0x61, 1)];

/// What is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Uart,
    IoApic,
    Power,
    Panic,
    Clock,
    /// The interval timer, which is not.
    NoTimer,
}

impl Part {
    const ALL: [Self; 6] = [
        Self::Uart,
        Self::IoApic,
        Self::Power,
        Self::Panic,
        Self::Clock,
        Self::NoTimer,
    ];

    /// Where a cluster file puts it.
    const fn kind(self) -> DeviceKind {
        match self {
            Self::Uart => DeviceKind::Serial,
            Self::IoApic | Self::Power | Self::Panic | Self::NoTimer => DeviceKind::Power,
            Self::Clock => DeviceKind::Clock,
        }
    }

    fn windows(self) -> Vec<Window> {
        let PowerPorts { sleep, reset } = PowerPorts::default();
        match self {
            Self::Uart => vec![Window::ports(UART_PORT, UartDevice::BYTES)],
            Self::IoApic => vec![Window::memory(ioapic::ADDRESS, ioapic::BYTES)],
            Self::Power => vec![
                Window::ports(sleep, 2).showing(PowerDevice::SLEEP),
                Window::ports(reset, 1).showing(PowerDevice::RESET),
                Window::ports(KEYBOARD_PORT, 1).showing(PowerDevice::KEYBOARD),
            ],
            Self::Panic => vec![Window::ports(PanicDevice::PORT, PanicDevice::BYTES)],
            Self::Clock => vec![Window::ports(RTC_PORT, RtcDevice::BYTES)],
            Self::NoTimer => {
                let ports = |(port, count)| Window::ports(port, count);
                TIMER_PORTS.map(ports).into()
            }
        }
    }
}

/// The devices as ACPI's tables tell them.
pub(super) fn described(attached: &[Attachment]) -> Described {
    Described {
        serial: Some(SerialPort {
            port: UART_PORT,
            pin: uart_pin(),
        }),
        rtc: Some(RTC_PORT),
        panic: Some(PanicDevice::PORT),
        virtio: attached.iter().map(Attachment::described).collect(),
        ..Described::default()
    }
}

fn uart_pin() -> Pin {
    Pin::new(UART_LINE).expect("an I/O APIC has the lines of an ISA bus")
}

/// One node's devices, and what is theirs besides the bus.
#[derive(Debug)]
pub(crate) struct Devices {
    pub(crate) bus: BusBuilder,
    pub(crate) lines: Arc<Lines>,
    /// The console's keyboard, on the console's node.
    pub(crate) keyboard: Option<UartInput>,
}

/// What devices are made of.
pub(crate) struct Makings<'a> {
    pub(crate) console: Output,
    pub(crate) lifecycle: Arc<LifecycleDriver>,
    pub(crate) lines: LineOutput,
    pub(crate) memory: LateMemory,
    pub(crate) channel: &'a Channel,
}

impl Devices {
    /// Builds them, alike on every node.
    pub(crate) fn new(
        local: NodeId,
        placement: &Placement,
        attached: &[Attachment],
        makings: Makings<'_>,
    ) -> anyhow::Result<Self> {
        let vcpus = (0..placement.vcpu_count())
            .filter_map(|index| placement.node_of_vcpu(index.try_into().ok()?));
        let mut bus = BusBuilder::new(local, vcpus.collect());
        let uart_line = uart_pin();
        let mut owners = vec![(uart_line, placement.device_node(Part::Uart.kind()))];
        owners.extend(attached.iter().map(|one| (one.pin(), one.node())));
        let lines = Lines::new(
            local,
            placement.device_node(Part::IoApic.kind()),
            placement.nodes().collect(),
            &owners,
            IoApic::new(false),
            makings.lines,
        );
        let mut keyboard = None;
        let mut console = Some(makings.console);
        for part in Part::ALL {
            let node = placement.device_node(part.kind());
            let device: Option<Box<dyn Device>> = match part {
                Part::Uart => lines
                    .line(uart_line)
                    .zip(console.take())
                    .map(|(line, out)| {
                        let (uart, input) = UartDevice::new(out, move || line.pulse());
                        keyboard = Some(input);
                        Box::new(uart) as Box<dyn Device>
                    }),
                Part::IoApic => lines
                    .device()
                    .map(|device: IoApicDevice| Box::new(device) as _),
                Part::Power => Some(Box::new(PowerDevice::new(power(&makings.lifecycle)))),
                Part::Panic => Some(Box::new(PanicDevice::new(power(&makings.lifecycle)))),
                Part::Clock => Some(Box::new(RtcDevice::new(time_of_day))),
                Part::NoTimer => Some(Box::new(Absent)),
            };
            let device = match device {
                Some(device) if node == local => bus.local(device),
                _ => bus.remote(node),
            };
            for window in part.windows() {
                bus.map(device, window)?;
            }
        }
        for one in attached {
            // Only the device's own node has its line.
            let device = match lines.line(one.pin()) {
                Some(line) => bus.local(one.device(&makings.memory, line, makings.channel)?),
                None => bus.remote(one.node()),
            };
            for window in one.windows() {
                bus.map(device, window)?;
            }
        }
        Ok(Self {
            bus,
            lines,
            keyboard,
        })
    }
}

/// Ends the machine, or notes that it panicked.
fn power(lifecycle: &Arc<LifecycleDriver>) -> impl FnMut(Origin, PowerEvent) + Send + 'static {
    let lifecycle = Arc::clone(lifecycle);
    move |origin, event| lifecycle.power(origin, event)
}

/// Seconds since 1970, as the clock's host has them.
fn time_of_day() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs().cast_signed())
}
