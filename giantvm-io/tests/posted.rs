//! Writes that a vCPU does not wait for.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};

use giantvm_core::{NodeId, VcpuId};
use giantvm_io::{
    Access, AccessError, AccessSize, Bus, BusBuilder, Device, DeviceError, DeviceServer, IoRequest,
    MAX_POSTED, MAX_POSTED_QUEUED, Origin, Outcome, Space, Unsent, Violation, Window,
};

const BASE: u64 = 0xd000_0000;
const BELL: u64 = BASE + 8;
const VCPU: VcpuId = VcpuId::BOOT;

fn node(number: u8) -> NodeId {
    NodeId::new(number).unwrap()
}

fn write(address: u64, value: u64) -> Access {
    Access::write(Space::Memory, address, AccessSize::Dword, value)
}

fn read(address: u64) -> Access {
    Access::read(Space::Memory, address, AccessSize::Dword)
}

/// A device that notes what is written to it, each time after it was let go once.
#[derive(Debug)]
struct Notes {
    open: Receiver<()>,
    written: Vec<(u64, u64)>,
}

impl Device for Notes {
    fn name(&self) -> &str {
        "notes"
    }

    fn read(&mut self, _: Origin, _: u64, _: AccessSize) -> Result<u64, DeviceError> {
        Ok(self.written.len() as u64)
    }

    fn write(
        &mut self,
        _: Origin,
        offset: u64,
        _: AccessSize,
        value: u64,
    ) -> Result<(), DeviceError> {
        self.open.recv().map_err(|_| DeviceError::Backend)?;
        self.written.push((offset, value));
        Ok(())
    }
}

fn map(mut bus: BusBuilder, device: giantvm_io::DeviceId) -> BusBuilder {
    bus.map(device, Window::memory(BASE, 8)).unwrap();
    let bell = Window::memory(BELL, 4).showing(8).posted();
    bus.map(device, bell).unwrap();
    bus
}

/// Node 0 with the device.
fn host() -> (Arc<Bus>, Sender<()>) {
    let (opener, open) = channel();
    let mut bus = BusBuilder::new(node(0), vec![node(1)]);
    let device = bus.local(Box::new(Notes {
        open,
        written: Vec::new(),
    }));
    let bus = map(bus, device).build(|_, _| Err(Unsent("no one to ask".into())));
    (Arc::new(bus), opener)
}

/// Node 1 with the vCPU.
fn guest(send: impl Fn(IoRequest) -> Result<(), Unsent> + Send + Sync + 'static) -> Bus {
    let mut bus = BusBuilder::new(node(1), vec![node(1)]);
    let device = bus.remote(node(0));
    map(bus, device).build(move |_, request| send(request))
}

fn access(bus: &Bus, access: Access) -> Outcome {
    let (node, vcpu) = (node(1), VCPU);
    bus.access(Origin { node, vcpu }, access)
}

/// Both nodes, joined without a network.
fn pair() -> (Arc<Bus>, Arc<Bus>, Sender<()>) {
    let (host, opener) = host();
    let near: Arc<OnceLock<Arc<Bus>>> = Arc::default();
    let back = Arc::clone(&near);
    let reply = move |_, reply| back.get().unwrap().reply(node(0), reply).unwrap();
    let server = DeviceServer::start(Arc::clone(&host), reply).unwrap();
    let bus = Arc::new(guest(move |request| {
        server.submit(node(1), request).unwrap();
        Ok(())
    }));
    near.set(Arc::clone(&bus)).unwrap();
    (bus, host, opener)
}

#[test]
fn a_vcpu_goes_on_before_its_posted_write_has_come() {
    let (bus, host, opener) = pair();
    // The device is held up; a write that waited would wait for ever.
    for value in 0..3 {
        assert_eq!(access(&bus, write(BELL, value)), Outcome::Done(0));
    }
    assert_eq!((bus.counts().posted, bus.counts().forwarded), (3, 0));
    let Outcome::Deferred(count) = access(&bus, read(BASE)) else {
        panic!("a read is waited for");
    };
    for _ in 0..3 {
        opener.send(()).unwrap();
    }
    assert_eq!(bus.wait(count), Ok(3), "all that was posted came before");
    assert_eq!(host.counts().served, 4);
}

#[test]
fn only_writes_and_only_those_to_a_posted_window_are_posted() {
    let (bus, _, opener) = pair();
    opener.send(()).unwrap();
    for awaited in [read(BELL), write(BASE, 1)] {
        let Outcome::Deferred(token) = access(&bus, awaited) else {
            panic!("{awaited} is waited for");
        };
        bus.wait(token).unwrap();
    }
    assert_eq!(bus.counts().posted, 0);
}

#[test]
fn a_vcpu_that_posts_without_end_is_made_to_wait() {
    let (bus, _, opener) = pair();
    let mut awaited = 0;
    for value in 0..100 {
        match access(&bus, write(BELL, value)) {
            Outcome::Done(_) => {}
            Outcome::Deferred(token) => {
                awaited += 1;
                (0..=MAX_POSTED).for_each(|_| opener.send(()).unwrap());
                assert_eq!(bus.wait(token), Ok(0));
            }
            Outcome::Failed(error) => panic!("{error}"),
        }
    }
    assert_eq!(awaited, 100 / (MAX_POSTED + 1));
}

#[test]
fn a_posted_write_fails_where_it_cannot_come() {
    let bus = guest(|_| Err(Unsent("the queue is full".into())));
    let failed = access(&bus, write(BELL, 1));
    assert!(matches!(
        failed,
        Outcome::Failed(AccessError::Unsent { .. })
    ));
    let bus = guest(|_| Ok(()));
    bus.stop();
    let stopped = Outcome::Failed(AccessError::Stopped);
    assert_eq!(access(&bus, write(BELL, 1)), stopped);
    bus.restart();
    assert_eq!(access(&bus, write(BELL, 1)), Outcome::Done(0));
    bus.lost(node(0));
    let lost = Outcome::Failed(AccessError::Lost(node(0)));
    assert_eq!(access(&bus, write(BELL, 1)), lost);
}

#[test]
fn posts_that_no_sound_node_sends_are_violations() {
    let (host, opener) = host();
    let server = DeviceServer::start(host, |_, _| panic!("a post has no answer")).unwrap();
    let post = |address| {
        let request = IoRequest {
            token: None,
            vcpu: VCPU,
            access: write(address, 1),
        };
        server.submit(node(1), request)
    };
    let from = node(1);
    assert_eq!(post(BASE), Err(Violation::Unanswered { from }));
    // One may be at work already.
    let refused = (0..=MAX_POSTED_QUEUED + 1).find_map(|_| post(BELL).err());
    let limit = MAX_POSTED_QUEUED;
    assert_eq!(refused, Some(Violation::TooMany { from, limit }));
    drop(opener);
    server.shutdown();
}
