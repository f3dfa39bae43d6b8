//! The channel as registers, for a guest without drivers. Every node has its own: a vCPU asks at home.

use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use giantvm_core::{AccessSize, VcpuId};
use giantvm_io::{Device, DeviceError, Origin};
use giantvm_sched::channel::{Counters, Register, Report, ThreadEvent, VcpuRegister, layout};
use giantvm_sched::schedule::{Machine, Nanos, ThreadId};

use super::gather::FEATURES;
use super::{Local, Request};

/// How long a snapshot may take: the service asks other nodes for less.
const PATIENCE: Duration = Duration::from_secs(1);

/// The registers. What a register has no meaning for is refused.
#[derive(Debug)]
pub(crate) struct ChannelWindow {
    machine: Machine,
    requests: SyncSender<Request>,
    /// There once there is memory, which is before any vCPU runs.
    local: Arc<OnceLock<Local>>,
    /// The snapshot that is shown, and its generation.
    shown: (Vec<u8>, u64),
}

impl ChannelWindow {
    pub(super) const fn new(
        machine: Machine,
        requests: SyncSender<Request>,
        local: Arc<OnceLock<Local>>,
    ) -> Self {
        Self {
            machine,
            requests,
            local,
            shown: (Vec::new(), 0),
        }
    }

    /// Takes a new snapshot, if there is one. Returns its length in bytes.
    fn take(&mut self) -> Result<u64, DeviceError> {
        let (reply, came) = sync_channel(1);
        let asked = self.requests.try_send(Request::Take(reply));
        asked.map_err(|_| DeviceError::Backend)?;
        match came.recv_timeout(PATIENCE) {
            Ok(shown) => self.shown = shown,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                return Err(DeviceError::Backend);
            }
        }
        Ok(self.shown.0.len() as u64)
    }

    /// What one of this node's vCPUs waited for.
    fn counters(&self, vcpu: VcpuId) -> Counters {
        let stalls = self.local.get().map(|local| local.stalls(0));
        let own = stalls.and_then(|stalls| {
            let mut vcpus = stalls.vcpus.into_iter();
            vcpus.find(|of| of.vcpu == vcpu.get())
        });
        own.map_or_else(Counters::default, |of| Counters {
            reads: of.reads,
            writes: of.writes,
            stall: Nanos(of.nanos),
        })
    }

    fn tell(&self, event: ThreadEvent) -> Result<(), DeviceError> {
        let mut report = Report::default();
        report.push(event);
        // One that comes while too many wait is lost, as on any carrier.
        self.requests.try_send(Request::Report(report)).ok();
        Ok(())
    }
}

impl Device for ChannelWindow {
    fn name(&self) -> &str {
        "channel"
    }

    fn read(&mut self, origin: Origin, offset: u64, size: AccessSize) -> Result<u64, DeviceError> {
        let register = Register::at(offset).filter(|_| size == AccessSize::Qword);
        Ok(match register.ok_or(DeviceError::Unsupported)? {
            Register::Magic => u64::from(layout::MAGIC) | u64::from(layout::VERSION) << 32,
            Register::Features => FEATURES.bits().into(),
            Register::Vcpus => self.machine.vcpu_count() as u64,
            Register::Take => self.take()?,
            Register::Generation => self.shown.1,
            Register::Snapshot(at) => {
                let bytes = self.shown.0.get(at..).unwrap_or_default();
                let mut word = [0; 8];
                let some = bytes.len().min(word.len());
                word[..some].copy_from_slice(&bytes[..some]);
                u64::from_le_bytes(word)
            }
            Register::Vcpu(vcpu, register) => {
                let node = self.machine.node_of(vcpu).ok_or(DeviceError::Unsupported)?;
                // What vCPUs of other nodes waited for is in the snapshot.
                let counters = || {
                    let is_here = node == origin.node;
                    let counters = is_here.then(|| self.counters(vcpu));
                    counters.ok_or(DeviceError::Unsupported)
                };
                match register {
                    VcpuRegister::Reads => counters()?.reads,
                    VcpuRegister::Writes => counters()?.writes,
                    VcpuRegister::Stall => counters()?.stall.0,
                    VcpuRegister::Node => node.get().into(),
                    VcpuRegister::Thread => return Err(DeviceError::Unsupported),
                }
            }
            Register::Event => return Err(DeviceError::Unsupported),
        })
    }

    fn write(
        &mut self,
        _: Origin,
        offset: u64,
        size: AccessSize,
        value: u64,
    ) -> Result<(), DeviceError> {
        let register = Register::at(offset).filter(|_| size == AccessSize::Qword);
        match register.ok_or(DeviceError::Unsupported)? {
            Register::Event => {
                let event = ThreadEvent::from_word(value);
                self.tell(event.map_err(|_| DeviceError::Unsupported)?)
            }
            Register::Vcpu(vcpu, VcpuRegister::Thread) => {
                let number = u32::try_from(value).map_err(|_| DeviceError::Unsupported)?;
                let thread = (number != 0).then_some(ThreadId(number));
                self.tell(ThreadEvent::Runs { vcpu, thread })
            }
            _ => Err(DeviceError::Unsupported),
        }
    }

    fn reset(&mut self) {
        self.shown = (Vec::new(), 0);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Receiver;

    use giantvm_core::NodeId;
    use giantvm_sched::channel::{Message, Snapshot};

    use super::*;

    const ORIGIN: Origin = Origin {
        node: NodeId::ZERO,
        vcpu: VcpuId::BOOT,
    };

    fn window() -> (ChannelWindow, Receiver<Request>) {
        let (requests, inbox) = sync_channel(4);
        let machine = Machine::new(&[1, 1]).unwrap();
        (ChannelWindow::new(machine, requests, Arc::default()), inbox)
    }

    fn read(window: &mut ChannelWindow, offset: u64) -> Result<u64, DeviceError> {
        window.read(ORIGIN, offset, AccessSize::Qword)
    }

    #[test]
    fn a_snapshot_is_taken_and_then_read_word_by_word() {
        let (mut window, inbox) = window();
        let message = Message::from(Snapshot::new(Machine::new(&[1, 1]).unwrap()));
        let bytes = message.encode();
        let service = std::thread::spawn(move || match inbox.recv().unwrap() {
            Request::Take(reply) => reply.send((bytes, 9)).unwrap(),
            other => panic!("{other:?}"),
        });
        assert_eq!(
            read(&mut window, layout::WINDOW_SNAPSHOT),
            Ok(0),
            "none was taken"
        );
        let length = read(&mut window, layout::REGISTER_TAKE).unwrap();
        service.join().unwrap();
        assert_eq!(read(&mut window, layout::REGISTER_GENERATION), Ok(9));
        let words = (0..length.div_ceil(8)).flat_map(|word| {
            let at = layout::WINDOW_SNAPSHOT + 8 * word;
            read(&mut window, at).unwrap().to_le_bytes()
        });
        let mut read: Vec<_> = words.collect();
        read.truncate(usize::try_from(length).unwrap());
        assert_eq!(Message::decode(&read), Ok(message));
    }

    #[test]
    fn without_anyone_who_gathers_there_is_an_error_and_no_wait_for_ever() {
        let (mut window, inbox) = window();
        drop(inbox);
        assert_eq!(
            read(&mut window, layout::REGISTER_TAKE),
            Err(DeviceError::Backend)
        );
    }

    #[test]
    fn threads_are_told_of_by_either_register() {
        let (mut window, inbox) = window();
        let thread = layout::vcpu_page(1) + layout::REGISTER_THREAD;
        let starts = layout::event_word(layout::EVENT_STARTS, 1, 7);
        for (offset, value) in [(thread, 7), (layout::REGISTER_EVENT, starts)] {
            let size = AccessSize::Qword;
            window.write(ORIGIN, offset, size, value).unwrap();
        }
        let vcpu = VcpuId::new(1).unwrap();
        let told = inbox.try_iter().map(|request| match request {
            Request::Report(report) => report.events()[0],
            other => panic!("{other:?}"),
        });
        let thread = ThreadId(7);
        let (runs, starts) = (Some(thread), vcpu);
        let expected = [
            ThreadEvent::Runs { vcpu, thread: runs },
            ThreadEvent::Starts { thread, by: starts },
        ];
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_no_register_is_refused() {
        let (mut window, _inbox) = window();
        assert_eq!(
            read(&mut window, layout::vcpu_page(1) + layout::REGISTER_NODE),
            Ok(1)
        );
        let refused = [
            1,
            layout::REGISTER_EVENT,
            layout::vcpu_page(1) + layout::REGISTER_STALL,
            layout::vcpu_page(2) + layout::REGISTER_NODE,
            layout::WINDOW,
        ];
        for offset in refused {
            assert_eq!(
                read(&mut window, offset),
                Err(DeviceError::Unsupported),
                "{offset:#x}"
            );
        }
        let narrow = window.read(ORIGIN, 0, AccessSize::Dword);
        assert_eq!(narrow, Err(DeviceError::Unsupported));
        let write = window.write(ORIGIN, layout::REGISTER_EVENT, AccessSize::Qword, 99);
        assert_eq!(write, Err(DeviceError::Unsupported));
    }
}
