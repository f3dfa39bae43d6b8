//! PLACEHOLDER until the thread host lands
use std::sync::Arc;
use giantvm_guest::Memory;
use giantvm_vcpu::{InterruptSink, Layout, VcpuHost};
pub(crate) fn host(_: Layout, _: Arc<dyn InterruptSink>, _: Memory<'static>) -> Arc<dyn VcpuHost> { unimplemented!() }
