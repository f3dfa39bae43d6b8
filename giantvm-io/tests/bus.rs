//! The bus of one node and of two, with devices that are slow, broken or far away.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread;

use giantvm_core::{NodeId, VcpuId};
use giantvm_io::devices::{ScratchDevice, ScratchFactors};
use giantvm_io::{
    Access, AccessError, AccessSize, Bus, BusBuilder, Device, DeviceError, DeviceServer, IoReply,
    IoRequest, MAX_QUEUED, Origin, Outcome, Space, Unsent, Violation, Window,
};

const SCRATCH: u64 = 0x1000;
const GATE: u64 = 0x8000;
const BOMB: u64 = 0x9000;

fn node(number: u8) -> NodeId {
    NodeId::new(number).unwrap()
}

fn vcpu(number: u8) -> VcpuId {
    VcpuId::new(number).unwrap()
}

fn origin(node_number: u8, vcpu_number: u8) -> Origin {
    Origin {
        node: node(node_number),
        vcpu: vcpu(vcpu_number),
    }
}

fn read(address: u64) -> Access {
    Access::read(Space::Memory, address, AccessSize::Qword)
}

fn write(address: u64, value: u64) -> Access {
    Access::write(Space::Memory, address, AccessSize::Qword, value)
}

/// A device whose reads say that they have begun and then wait to be let go.
#[derive(Debug)]
struct Gate {
    entered: Sender<()>,
    open: Receiver<()>,
}

impl Device for Gate {
    fn name(&self) -> &str {
        "gate"
    }

    fn read(&mut self, _: Origin, _: u64, _: AccessSize) -> Result<u64, DeviceError> {
        self.entered.send(()).map_err(|_| DeviceError::Backend)?;
        self.open.recv().map_err(|_| DeviceError::Backend)?;
        Ok(1)
    }

    fn write(&mut self, _: Origin, _: u64, _: AccessSize, _: u64) -> Result<(), DeviceError> {
        Ok(())
    }
}

fn gate() -> (Gate, Receiver<()>, Sender<()>) {
    let (entered, seen) = channel();
    let (opener, open) = channel();
    (Gate { entered, open }, seen, opener)
}

/// A device that panics.
#[derive(Debug)]
struct Bomb;

impl Device for Bomb {
    fn name(&self) -> &str {
        "bomb"
    }

    fn read(&mut self, _: Origin, _: u64, _: AccessSize) -> Result<u64, DeviceError> {
        panic!("the device under test breaks down here");
    }

    fn write(&mut self, _: Origin, _: u64, _: AccessSize, _: u64) -> Result<(), DeviceError> {
        Ok(())
    }
}

/// Node 0 with all devices and vCPUs 0 and 1.
fn host(gate: Gate) -> Bus {
    let mut bus = BusBuilder::new(node(0), vec![node(0), node(0), node(1), node(1)]);
    let scratch = bus.local(Box::new(ScratchDevice::new(ScratchFactors::NONE)));
    let gate = bus.local(Box::new(gate));
    let bomb = bus.local(Box::new(Bomb));
    bus.map(scratch, Window::memory(SCRATCH, ScratchDevice::WIDE_BYTES))
        .unwrap();
    bus.map(gate, Window::memory(GATE, 8)).unwrap();
    bus.map(bomb, Window::memory(BOMB, 8)).unwrap();
    bus.build(|to, _| Err(Unsent(format!("node {to} is not to be asked"))))
}

/// Node 1 with vCPUs 2 and 3 and no device of its own.
fn guest_side(
    send: impl Fn(NodeId, IoRequest) -> Result<(), Unsent> + Send + Sync + 'static,
) -> Bus {
    let mut bus = BusBuilder::new(node(1), vec![node(0), node(0), node(1), node(1)]);
    for (start, len) in [(SCRATCH, ScratchDevice::WIDE_BYTES), (GATE, 8), (BOMB, 8)] {
        let device = bus.remote(node(0));
        bus.map(device, Window::memory(start, len)).unwrap();
    }
    bus.build(send)
}

/// Both nodes, joined without a network: requests go to the server of node 0 and answers back.
struct Pair {
    near: Arc<Bus>,
    far: Arc<Bus>,
    entered: Receiver<()>,
    opener: Sender<()>,
}

fn pair() -> Pair {
    let (gate, entered, opener) = gate();
    let host = Arc::new(host(gate));
    let near: Arc<OnceLock<Arc<Bus>>> = Arc::default();
    let reply = {
        let near = Arc::clone(&near);
        move |to: NodeId, reply: IoReply| {
            assert_eq!(to, node(1));
            near.get().unwrap().reply(node(0), reply).unwrap();
        }
    };
    let server = DeviceServer::start(Arc::clone(&host), reply).unwrap();
    let bus = Arc::new(guest_side(move |to, request| {
        assert_eq!(to, node(0));
        server.submit(node(1), request).unwrap();
        Ok(())
    }));
    near.set(Arc::clone(&bus)).unwrap();
    Pair {
        near: bus,
        far: host,
        entered,
        opener,
    }
}

/// The first request of vCPU 2 of node 1.
fn request(access: Access) -> IoRequest {
    let (vcpu, mut forwarder) = (vcpu(2), giantvm_io::Forwarder::new());
    let token = Some(forwarder.request(vcpu, node(0), access).unwrap());
    IoRequest {
        token,
        vcpu,
        access,
    }
}

fn finish(bus: &Bus, outcome: Outcome) -> Result<u64, AccessError> {
    match outcome {
        Outcome::Done(value) => Ok(value),
        Outcome::Failed(error) => Err(error),
        Outcome::Deferred(token) => bus.wait(token),
    }
}

#[test]
fn accesses_to_no_device_end_as_on_x86_and_are_counted() {
    let bus = host(gate().0);
    for (size, ones) in [
        (AccessSize::Byte, 0xff),
        (AccessSize::Word, 0xffff),
        (AccessSize::Dword, 0xffff_ffff),
    ] {
        let access = Access::read(Space::Port, 0x3f8, size);
        assert_eq!(bus.access(origin(0, 0), access), Outcome::Done(ones));
    }
    assert_eq!(
        bus.access(origin(0, 0), write(GATE + 4, 1)),
        Outcome::Done(0)
    );
    assert_eq!(
        bus.access(origin(0, 0), read(u64::MAX)),
        Outcome::Done(u64::MAX)
    );
    assert_eq!((bus.counts().unclaimed, bus.counts().failed), (5, 0));
}

#[test]
fn what_a_device_refuses_fails_with_its_name() {
    let bus = host(gate().0);
    let narrow = Access::read(Space::Memory, SCRATCH, AccessSize::Byte);
    let error = AccessError::Device {
        device: "scratch".into(),
        error: DeviceError::Unsupported,
    };
    assert_eq!(bus.access(origin(0, 0), narrow), Outcome::Failed(error));
    assert_eq!(bus.counts().failed, 1);
}

#[test]
fn remote_accesses_from_several_vcpus_come_once_each() {
    let pair = pair();
    thread::scope(|scope| {
        for number in 0..4_u8 {
            let (bus, at) = if number < 2 {
                (&pair.far, 0)
            } else {
                (&pair.near, 1)
            };
            scope.spawn(move || {
                let (from, register) = (origin(at, number), SCRATCH + 8 * u64::from(number));
                for value in 0..200 {
                    assert_eq!(finish(bus, bus.access(from, write(register, value))), Ok(0));
                    // A register reads as its value plus the number of its readings.
                    let expected = value + (value + 1);
                    assert_eq!(finish(bus, bus.access(from, read(register))), Ok(expected));
                }
            });
        }
    });
    let count = read(SCRATCH + ScratchDevice::COUNT);
    assert_eq!(
        finish(&pair.near, pair.near.access(origin(1, 2), count)),
        Ok(4 * 400)
    );
    assert_eq!(
        (pair.near.counts().forwarded, pair.near.counts().local),
        (801, 0)
    );
    assert_eq!(
        (pair.far.counts().served, pair.far.counts().local),
        (801, 800)
    );
}

#[test]
fn a_slow_device_holds_up_no_other_one() {
    let pair = pair();
    let Outcome::Deferred(slow) = pair.near.access(origin(1, 2), read(GATE)) else {
        panic!("the device is on another node");
    };
    pair.entered.recv().unwrap();
    // The gate is at work now, with its lock held: others answer, from both nodes.
    let far = pair.far.access(origin(0, 0), write(SCRATCH, 5));
    assert_eq!(finish(&pair.far, far), Ok(0));
    let near = pair.near.access(origin(1, 3), read(SCRATCH));
    assert_eq!(finish(&pair.near, near), Ok(5 + 1));
    let busy = pair.near.access(origin(1, 2), read(SCRATCH));
    assert_eq!(busy, Outcome::Failed(AccessError::Busy(vcpu(2))));
    pair.opener.send(()).unwrap();
    assert_eq!(pair.near.wait(slow), Ok(1));
    assert_eq!(
        pair.near.wait(slow),
        Err(AccessError::NotPending),
        "a value is taken once"
    );
}

#[test]
fn a_device_that_panics_fails_its_accesses_and_no_others() {
    let pair = pair();
    let broken = |node| AccessError::Remote {
        node,
        error: DeviceError::Broken,
    };
    for access in [read(BOMB), read(BOMB), write(BOMB, 1)] {
        let ended = finish(&pair.near, pair.near.access(origin(1, 2), access));
        assert_eq!(ended, Err(broken(node(0))));
    }
    assert_eq!(
        finish(&pair.near, pair.near.access(origin(1, 2), read(SCRATCH))),
        Ok(1)
    );
}

#[test]
fn a_stop_ends_waits_and_a_late_answer_is_dropped() {
    let pair = pair();
    let Outcome::Deferred(token) = pair.near.access(origin(1, 2), read(GATE)) else {
        panic!("the device is on another node");
    };
    pair.entered.recv().unwrap();
    pair.near.stop();
    assert_eq!(pair.near.wait(token), Err(AccessError::Stopped));
    let refused = pair.near.access(origin(1, 3), read(SCRATCH));
    assert_eq!(refused, Outcome::Failed(AccessError::Stopped));
    pair.near.restart();
    // The new access queues behind the old one, whose answer must not pass for its own.
    let Outcome::Deferred(new) = pair.near.access(origin(1, 2), read(GATE)) else {
        panic!("the device is on another node");
    };
    pair.opener.send(()).unwrap();
    pair.entered.recv().unwrap();
    drop(pair.opener);
    let error = AccessError::Remote {
        node: node(0),
        error: DeviceError::Backend,
    };
    assert_eq!(pair.near.wait(new), Err(error));
}

#[test]
fn the_loss_of_the_devices_node_ends_waits() {
    let bus = Arc::new(guest_side(|_, _| Ok(())));
    let Outcome::Deferred(token) = bus.access(origin(1, 2), read(GATE)) else {
        panic!("the device is on another node");
    };
    let waiter = thread::spawn({
        let bus = Arc::clone(&bus);
        move || bus.wait(token)
    });
    bus.lost(node(0));
    assert_eq!(waiter.join().unwrap(), Err(AccessError::Lost(node(0))));
}

#[test]
fn a_request_that_cannot_be_sent_fails_and_leaves_the_vcpu_free() {
    let up = Arc::new(AtomicBool::new(false));
    let bus = guest_side({
        let up = Arc::clone(&up);
        move |_, _| match up.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err(Unsent("the queue is full".into())),
        }
    });
    let failed = bus.access(origin(1, 2), read(GATE));
    assert!(matches!(
        failed,
        Outcome::Failed(AccessError::Unsent { .. })
    ));
    up.store(true, Ordering::Relaxed);
    let deferred = bus.access(origin(1, 2), read(GATE));
    assert!(matches!(deferred, Outcome::Deferred(_)));
}

#[test]
fn requests_that_no_sound_node_sends_are_violations() {
    let (gate, entered, opener) = gate();
    let bus = Arc::new(host(gate));
    let (answers, answered) = channel();
    let server = DeviceServer::start(bus, move |to, _| answers.send(to).unwrap()).unwrap();
    let request = request(read(GATE));
    let foreign = IoRequest {
        vcpu: vcpu(0),
        ..request
    };
    let (from, foreign_vcpu) = (node(1), vcpu(0));
    let violation = Violation::ForeignVcpu {
        from,
        vcpu: foreign_vcpu,
    };
    assert_eq!(server.submit(from, foreign), Err(violation));
    let nowhere = IoRequest {
        access: read(0),
        ..request
    };
    assert_eq!(
        server.submit(from, nowhere),
        Err(Violation::NotHere { from })
    );
    for _ in 0..MAX_QUEUED {
        server.submit(from, request).unwrap();
    }
    let limit = MAX_QUEUED;
    assert_eq!(
        server.submit(from, request),
        Err(Violation::TooMany { from, limit })
    );
    entered.recv().unwrap();
    drop(opener);
    drop(entered);
    server.shutdown();
    assert_eq!(
        answered.iter().count(),
        MAX_QUEUED,
        "all that was taken is answered"
    );
}

#[test]
fn a_drained_server_has_answered_all_that_it_took() {
    let (gate, entered, opener) = gate();
    let bus = Arc::new(host(gate));
    let (answers, answered) = channel();
    let server = DeviceServer::start(bus, move |to, _| answers.send(to).unwrap()).unwrap();
    server.submit(node(1), request(read(GATE))).unwrap();
    thread::scope(|scope| {
        let drain = scope.spawn(|| server.drain());
        entered.recv().unwrap();
        assert!(!drain.is_finished() && answered.try_recv().is_err());
        opener.send(()).unwrap();
        drain.join().unwrap();
        assert_eq!(answered.try_recv(), Ok(node(1)));
    });
}
