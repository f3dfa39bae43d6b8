//! The bus: from an access to its outcome.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use giantvm_core::{MAX_VCPUS, NodeId, NodeSet, VcpuId};

use crate::counters::{Counters, count};
use crate::posted::{Posts, Way};
use crate::ranges::{Found, Ranges};
use crate::wait::{NoValue, WaitTable};
use crate::{
    Access, AccessError, Completed, Device, DeviceError, DeviceId, Forwarder, IoCounts, IoReply,
    IoRequest, MapError, Op, Origin, Outcome, Token, Violation, Window,
};

/// Why a request could not be sent, as the transport says it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unsent(pub String);

type Send = dyn Fn(NodeId, IoRequest) -> Result<(), Unsent> + std::marker::Send + Sync;

#[derive(Debug)]
enum Place {
    Here {
        name: String,
        device: Mutex<Box<dyn Device>>,
    },
    There(NodeId),
}

/// Collects the devices of a machine and their windows; see [`Bus`].
#[derive(Debug)]
pub struct BusBuilder {
    local: NodeId,
    /// The node of each vCPU.
    vcpus: Vec<NodeId>,
    devices: Vec<Place>,
    ranges: Ranges,
}

impl BusBuilder {
    /// A bus of node `local` without devices. `vcpus` has the node of each vCPU of the machine, so
    /// that no node can speak for another one's.
    #[must_use]
    pub fn new(local: NodeId, vcpus: Vec<NodeId>) -> Self {
        Self {
            local,
            vcpus,
            devices: Vec::new(),
            ranges: Ranges::default(),
        }
    }

    /// Adds a device of this node.
    pub fn local(&mut self, device: Box<dyn Device>) -> DeviceId {
        self.add(Place::Here {
            name: device.name().to_owned(),
            device: Mutex::new(device),
        })
    }

    /// Adds a device that node `node` hosts, which must not be this one.
    pub fn remote(&mut self, node: NodeId) -> DeviceId {
        self.add(Place::There(node))
    }

    fn add(&mut self, place: Place) -> DeviceId {
        self.devices.push(place);
        DeviceId(self.devices.len() - 1)
    }

    /// Shows a device in a window.
    ///
    /// # Errors
    /// [`MapError`] if the window is out of bounds or overlaps another.
    pub fn map(&mut self, device: DeviceId, window: Window) -> Result<(), MapError> {
        if device.0 >= self.devices.len() {
            return Err(MapError::NoDevice);
        }
        self.ranges.insert(window, device)
    }

    /// The finished bus. `send` takes a request to another node; it must not block.
    #[must_use]
    pub fn build(
        self,
        send: impl Fn(NodeId, IoRequest) -> Result<(), Unsent> + std::marker::Send + Sync + 'static,
    ) -> Bus {
        Bus {
            local: self.local,
            speakers: Mutex::new(self.vcpus.into_iter().map(NodeSet::only).collect()),
            devices: self.devices,
            ranges: self.ranges,
            forwarder: Mutex::new(Forwarder::new()),
            posts: Mutex::default(),
            waits: WaitTable::new(MAX_VCPUS),
            counters: Counters::default(),
            send: Box::new(send),
        }
    }
}

/// The port and memory bus of one node. All nodes map the same windows; each has its own devices
/// behind some of them and other nodes behind the rest.
///
/// Shared by all threads of the node. A device is called under its own lock and no other, so a slow
/// one holds up nothing but accesses to itself.
///
/// A vCPU thread calls [`access`](Self::access) and, where that is deferred, [`wait`](Self::wait).
/// The network thread calls [`reply`](Self::reply) and [`lost`](Self::lost), and gives requests to
/// a [`DeviceServer`](crate::DeviceServer).
pub struct Bus {
    local: NodeId,
    /// By vCPU number: the nodes that it is or was on. What it asked on an old one may come late.
    speakers: Mutex<Vec<NodeSet>>,
    devices: Vec<Place>,
    ranges: Ranges,
    /// Held for table look-ups only, never while a device or the network is called.
    forwarder: Mutex<Forwarder>,
    /// As the forwarder, and never held together with it.
    posts: Mutex<Posts>,
    waits: WaitTable<Result<u64, AccessError>>,
    counters: Counters,
    send: Box<Send>,
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Bus");
        debug
            .field("local", &self.local)
            .field("ranges", &self.ranges);
        debug.finish_non_exhaustive()
    }
}

impl Bus {
    /// Performs or forwards an access of an own vCPU.
    ///
    /// An access to no device, or to more than one, ends as on x86: a read is all ones and a write
    /// does nothing. It is counted, and reported now and then.
    pub fn access(&self, origin: Origin, access: Access) -> Outcome {
        let Some(found) = self.ranges.find(&access) else {
            self.counters.unclaimed(origin, &access);
            return Outcome::Done(access.unclaimed_value());
        };
        let outcome = match &self.devices[found.device.0] {
            Place::Here { name, device } => {
                count(&self.counters.local);
                match call(device, origin, found.offset, access) {
                    Ok(value) => Outcome::Done(value),
                    Err(error) => Outcome::Failed(AccessError::Device {
                        device: name.clone(),
                        error,
                    }),
                }
            }
            Place::There(node) => {
                let sent = match self.way(origin.vcpu, *node, found) {
                    Ok(Way::Posted) => self.post(origin.vcpu, *node, access),
                    Ok(Way::Awaited) => self.forward(origin.vcpu, *node, found.device, access),
                    Err(error) => Err(error),
                };
                sent.unwrap_or_else(Outcome::Failed)
            }
        };
        if let Outcome::Failed(error) = &outcome {
            self.failed(error);
        }
        outcome
    }

    fn way(&self, vcpu: VcpuId, node: NodeId, found: Found) -> Result<Way, AccessError> {
        match found.posted {
            true => self.posts().way(vcpu, found.device, node),
            false => Ok(Way::Awaited),
        }
    }

    fn post(&self, vcpu: VcpuId, node: NodeId, access: Access) -> Result<Outcome, AccessError> {
        count(&self.counters.posted);
        let token = None;
        let request = IoRequest {
            token,
            vcpu,
            access,
        };
        let sent = (self.send)(node, request);
        sent.map(|()| Outcome::Done(0))
            .map_err(|Unsent(why)| AccessError::Unsent { node, why })
    }

    fn forward(
        &self,
        vcpu: VcpuId,
        node: NodeId,
        device: DeviceId,
        access: Access,
    ) -> Result<Outcome, AccessError> {
        count(&self.counters.forwarded);
        let token = self.forwarder().request(vcpu, node, access)?;
        let request = IoRequest {
            token: Some(token),
            vcpu,
            access,
        };
        // The answer can come as soon as the request is sent.
        self.waits.expect(vcpu.index(), token.0).map_err(|end| {
            self.forwarder().unsent(token);
            ended(end)
        })?;
        (self.send)(node, request).map_err(|Unsent(why)| {
            self.forwarder().unsent(token);
            AccessError::Unsent { node, why }
        })?;
        self.posts().awaited(vcpu, device);
        Ok(Outcome::Deferred(token))
    }

    /// Waits until a deferred access ends, and takes its value.
    ///
    /// The wait has no time limit of its own: it ends with the reply, with the loss of the device's
    /// node, or with [`stop`](Self::stop).
    ///
    /// # Errors
    /// [`AccessError`] if the access failed, or the machine stops.
    pub fn wait(&self, token: Token) -> Result<u64, AccessError> {
        let vcpu = token.vcpu().ok_or(AccessError::NotPending)?;
        match self.waits.wait(vcpu.index(), token.0) {
            Ok(result) => result.inspect_err(|error| self.failed(error)),
            Err(end) => {
                if end == NoValue::Stopped {
                    self.forwarder().abandon(token);
                }
                Err(ended(end))
            }
        }
    }

    /// Takes a reply from another node.
    ///
    /// # Errors
    /// [`Violation`] for a reply that answers nothing.
    pub fn reply(&self, from: NodeId, reply: IoReply) -> Result<(), Violation> {
        let completed = self.forwarder().reply(from, reply)?;
        if let Some(completed) = completed {
            self.complete(completed);
        }
        Ok(())
    }

    /// A node is gone: all accesses that wait for it fail, and so do writes posted to it later.
    pub fn lost(&self, node: NodeId) {
        self.posts().lost(node);
        let ended = self.forwarder().lost(node);
        ended
            .into_iter()
            .for_each(|completed| self.complete(completed));
    }

    /// Ends all waits of vCPUs, and those to come until [`restart`](Self::restart), because the
    /// machine stops.
    pub fn stop(&self) {
        self.posts().set_stopped(true);
        self.waits.set_stopped(true);
    }

    /// Brings own devices back to the state after power-on and allows accesses again. To be called
    /// when no vCPU of any node runs and [`DeviceServer::drain`](crate::DeviceServer::drain) has
    /// returned; waits for devices that are at work.
    pub fn restart(&self) {
        self.reset_devices();
        self.waits.set_stopped(false);
        self.posts().set_stopped(false);
    }

    /// Makes own devices bring out what they have buffered and forget the rest: for the end of a
    /// machine. Waits for devices that are at work.
    pub fn reset_devices(&self) {
        for place in &self.devices {
            if let Place::Here { device, .. } = place
                && let Ok(mut device) = device.lock()
            {
                device.reset();
            }
        }
    }

    /// Lets `node` speak for a vCPU that moved there, from now on. What the vCPU asked before, on another
    /// node, may still come from that.
    ///
    /// Writes that it posted there are not ordered with what it asks from its new node. A doorbell that comes
    /// late is heard in vain: whoever it was to wake has been woken by the next, or finds nothing to do.
    pub fn admit(&self, vcpu: VcpuId, node: NodeId) {
        if let Some(nodes) = self.speakers().get_mut(vcpu.index()) {
            *nodes = nodes.with(node);
        }
    }

    /// What went which way so far.
    #[must_use]
    pub fn counts(&self) -> IoCounts {
        self.counters.counts()
    }

    /// This node.
    #[must_use]
    pub const fn local(&self) -> NodeId {
        self.local
    }

    /// The own devices.
    pub(crate) fn local_devices(&self) -> impl Iterator<Item = (DeviceId, &str)> {
        let devices = self.devices.iter().enumerate();
        devices.filter_map(|(position, place)| match place {
            Place::Here { name, .. } => Some((DeviceId(position), name.as_str())),
            Place::There(_) => None,
        })
    }

    /// The own device that a request of another node is for.
    pub(crate) fn target(&self, from: NodeId, request: &IoRequest) -> Result<DeviceId, Violation> {
        let vcpu = request.vcpu;
        let speakers = self.speakers().get(vcpu.index()).copied();
        if !speakers.is_some_and(|nodes| nodes.contains(from)) {
            return Err(Violation::ForeignVcpu { from, vcpu });
        }
        match self.ranges.find(&request.access) {
            Some(Found { device, posted, .. })
                if matches!(self.devices[device.0], Place::Here { .. }) =>
            {
                match request.token.is_some() || posted {
                    true => Ok(device),
                    false => Err(Violation::Unanswered { from }),
                }
            }
            _ => Err(Violation::NotHere { from }),
        }
    }

    /// Performs an access of another node's vCPU, which [`target`](Self::target) has admitted.
    pub(crate) fn serve(&self, origin: Origin, access: Access) -> Result<u64, DeviceError> {
        count(&self.counters.served);
        let found = self.ranges.find(&access);
        let place = found.map(|found| (&self.devices[found.device.0], found.offset));
        let Some((Place::Here { name, device }, offset)) = place else {
            return Err(DeviceError::Unsupported);
        };
        call(device, origin, offset, access).inspect_err(|&error| {
            self.failed(&AccessError::Device {
                device: name.clone(),
                error,
            });
        })
    }

    fn complete(&self, completed: Completed) {
        let Completed {
            token,
            vcpu,
            result,
        } = completed;
        // No one expects it if the wait was given up just now; then no one needs it.
        self.waits.bring(vcpu.index(), token.0, result);
    }

    fn failed(&self, error: &AccessError) {
        let total = count(&self.counters.failed);
        // A guest can make as many as it likes.
        if total.is_power_of_two() {
            tracing::warn!(total, "a device access failed: {error}");
        }
    }

    fn posts(&self) -> MutexGuard<'_, Posts> {
        // As the forwarder's.
        self.posts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn speakers(&self) -> MutexGuard<'_, Vec<NodeSet>> {
        // A set is replaced as a whole.
        self.speakers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forwarder(&self) -> MutexGuard<'_, Forwarder> {
        // The forwarder does not panic, so what a poisoned lock guards is sound.
        self.forwarder
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn ended(end: NoValue) -> AccessError {
    match end {
        NoValue::Stopped => AccessError::Stopped,
        NoValue::NotPending => AccessError::NotPending,
    }
}

/// Calls a device under its lock. One that panics stays locked up: its state cannot be trusted.
fn call(
    device: &Mutex<Box<dyn Device>>,
    origin: Origin,
    offset: u64,
    access: Access,
) -> Result<u64, DeviceError> {
    let size = access.size;
    let access = AssertUnwindSafe(|| {
        let mut device = device.lock().map_err(|_| DeviceError::Broken)?;
        match access.op {
            // A device that returns more than was asked for does not get through.
            Op::Read => Ok(size.truncate(device.read(origin, offset, size)?)),
            Op::Write(value) => device.write(origin, offset, size, value).map(|()| 0),
        }
    });
    catch_unwind(access).unwrap_or(Err(DeviceError::Broken))
}
