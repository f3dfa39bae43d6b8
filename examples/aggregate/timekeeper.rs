//! PLACEHOLDER until clock lands
use std::sync::Arc;
use giantvm_core::NodeId;
use giantvm_vcpu::clock::{Probe, Reply, Nanos};
use crate::wiring::Outlet;
#[derive(Debug)]
pub(crate) struct Timekeeper { origin: std::time::Instant }
#[derive(Debug)]
pub(crate) struct GuestClock(std::time::Instant);
impl GuestClock { pub(crate) fn now_ns(&self) -> u64 { self.0.elapsed().as_nanos() as u64 } }
impl Timekeeper {
    pub(crate) fn new(_: Outlet) -> Self { Self { origin: std::time::Instant::now() } }
    pub(crate) fn clock(&self) -> Arc<GuestClock> { Arc::new(GuestClock(self.origin)) }
    pub(crate) fn start(&self) -> std::io::Result<()> { Ok(()) }
    pub(crate) fn answer(&self, probe: Probe) -> Reply { Reply { probe, received: Nanos(0), replied: Nanos(0) } }
    pub(crate) fn learn(&self, _: NodeId, _: Reply) -> Result<(), String> { Ok(()) }
    pub(crate) fn error_us(&self) -> Option<f64> { None }
}
