//! The host itself: makes the VM, gives out vCPUs, keeps the proxies' threads.

use std::num::NonZeroU8;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use giantvm_core::{Msi, NodeId, VcpuId};
use kvm_bindings::{
    KVM_CAP_SPLIT_IRQCHIP, KVM_CAP_X2APIC_API, KVM_CAP_X86_DISABLE_EXITS, KVM_MAX_CPUID_ENTRIES,
    KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK, KVM_X2APIC_API_USE_32BIT_IDS,
    KVM_X86_DISABLE_EXITS_HLT, kvm_enable_cap,
};
use kvm_ioctls::{Cap, Kvm, VmFd};

use super::cpu::Cpu;
use super::cpuid::Timing;
use super::image::{Image, READ_ONLY_PAGES};
use super::machine::Machine;
use super::memory::{PrivatePages, Slots};
use super::pins::Pins;
use super::proxies::Proxies;
use super::proxy::{self, Proxy};
use super::vcpu::KvmVcpu;
use super::{cpuid, errno, kick, moves, poison, registers, state};
use crate::error::VcpuError;
use crate::gate::Gate;
use crate::host::{IO_APIC_PINS, InterruptSink, LONGEST_PAUSE, Vcpu, VcpuHost};
use crate::interrupt::Interrupt;
use crate::layout::{Layout, Places};
use crate::state::ArchState;

/// Three pages below 4 GiB that KVM needs on some Intel processors to run real-mode code; guest
/// memory must leave them, and the local APIC's page at 0xfee00000, free.
const TASK_STATE: usize = 0xfffb_d000;
const REQUIRED: [(Cap, &str); 4] = [
    (Cap::SplitIrqchip, "its KVM has no split irqchip"),
    (Cap::ImmediateExit, "its KVM has no immediate exit"),
    (Cap::SignalMsi, "its KVM cannot signal an MSI"),
    (Cap::ReadonlyMem, "its KVM has no read-only memory"),
];

/// The vCPUs of one node, on KVM.
///
/// Guest-physical memory is the caller's to [map](Self::map_memory), on every node alike. Dropping
/// the host ends the proxies' threads.
///
/// ```no_run
/// use std::sync::Arc;
/// use giantvm_core::{NodeId, VcpuId};
/// use giantvm_vcpu::{Exit, Interrupt, InterruptSink, Layout, VcpuError, VcpuHost, kvm::KvmHost};
///
/// struct Alone;
/// impl InterruptSink for Alone {
///     fn forward(&self, _: VcpuId, _: Interrupt) {}
///     fn failed(&self, _: VcpuId, _: VcpuError) {}
/// }
///
/// let layout = Layout::new(NodeId::ZERO, vec![NodeId::ZERO])?;
/// let host = KvmHost::new(layout, Arc::new(Alone))?;
/// let mut vcpu = host.take(VcpuId::BOOT)?;
/// while vcpu.run()? != Exit::Shutdown {}
/// # Ok::<(), VcpuError>(())
/// ```
#[derive(Debug)]
pub struct KvmHost {
    /// Local vCPUs that were not taken yet; by vCPU number. Before `machine`, which owns memory
    /// that they may touch: dropped first.
    waiting: Mutex<Vec<Option<Cpu>>>,
    machine: Arc<Machine>,
}

impl KvmHost {
    /// Makes a VM with all vCPUs of the machine and starts a thread for each proxy.
    ///
    /// # Errors
    /// [`VcpuError::HostLacks`] or [`VcpuError::Os`].
    pub fn new(layout: Layout, sink: Arc<dyn InterruptSink>) -> Result<Self, VcpuError> {
        Self::in_slow_motion(layout, sink, NonZeroU8::MIN)
    }

    /// The same, but to a guest that counts by what CPUID says of its clocks, time passes so many times
    /// slower: for hosts that are as much slower than the guest expects, as emulated ones are. Else such
    /// a guest may do nothing but answer its timer.
    ///
    /// # Errors
    /// As of [`new`](Self::new).
    pub fn in_slow_motion(
        layout: Layout,
        sink: Arc<dyn InterruptSink>,
        times: NonZeroU8,
    ) -> Result<Self, VcpuError> {
        kick::install()?;
        poison::install()?;
        let kvm = Kvm::new().map_err(errno("opening /dev/kvm"))?;
        let vm = kvm.create_vm().map_err(errno("creating a VM"))?;
        for (capability, lack) in REQUIRED {
            if !vm.check_extension(capability) {
                return Err(VcpuError::HostLacks(lack));
            }
        }
        prepare(&vm)?;
        let supported = kvm
            .get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
            .map_err(errno("reading what CPUID KVM supports"))?;
        let msrs = kvm.get_msr_index_list().map_err(errno("listing MSRs"))?;
        let image = Image::new(cpuid::physical_bits(&supported));
        let private = PrivatePages::new(image.pages(layout.count()));
        let slots = Slots::default();
        slots.map_private(&vm, image.base(), &private, READ_ONLY_PAGES)?;
        let (mut cpus, mut fresh, mut tsc_khz) = (Vec::new(), Vec::new(), None);
        for id in layout.all() {
            let fd = vm
                .create_vcpu(id.get().into())
                .map_err(errno("creating a vCPU"))?;
            // KVM answers zero, or an error, where it does not know.
            let khz = fd.get_tsc_khz().ok().filter(|&khz| khz > 0);
            tsc_khz = khz.map(|khz| khz.saturating_mul(times.get().into()));
            let timing = tsc_khz.map(|tsc_khz| Timing::new(tsc_khz, times));
            fd.set_cpuid2(&cpuid::table(&supported, id, timing)?)
                .map_err(errno("setting a vCPU's CPUID"))?;
            registers::x2apic(&fd)?;
            registers::memory_types(&fd)?;
            fresh.push(state::save(&fd, &[])?);
            cpus.push((id, Cpu::new(fd, vm.run_size())));
        }
        let machine = Arc::new(Machine {
            proxies: Proxies::new(layout.count()),
            gates: layout.all().map(|_| Gate::new()).collect(),
            fresh,
            msrs: msrs.as_slice().to_vec(),
            stopping: AtomicBool::new(false),
            vm,
            places: Places::new(layout.clone()),
            senders: RwLock::new(()),
            slots,
            pins: Pins::default(),
            tsc_khz,
            image,
            private,
            sink,
        });
        // From here on the drop of `host` ends the threads if anything fails.
        let mut host = Self {
            machine: Arc::clone(&machine),
            waiting: Mutex::default(),
        };
        let mut waiting = Vec::with_capacity(cpus.len());
        for (id, cpu) in cpus {
            if layout.is_local(id) {
                waiting.push(Some(cpu));
                continue;
            }
            proxy::park(id, &cpu, &machine)?;
            machine.start_proxy(Proxy::parked(id, cpu, &machine))?;
            waiting.push(None);
        }
        host.waiting = Mutex::new(waiting);
        Ok(host)
    }

    /// What the guest is told of its time-stamp counters' frequency, in kHz, if KVM knows it.
    #[must_use]
    pub fn tsc_khz(&self) -> Option<u32> {
        self.machine.tsc_khz
    }

    pub(super) fn machine(&self) -> &Machine {
        &self.machine
    }
}

/// Sets up what has to be there before the first vCPU.
fn prepare(vm: &VmFd) -> Result<(), VcpuError> {
    vm.set_tss_address(TASK_STATE)
        .map_err(errno("placing the task state"))?;
    let enable = |capability, argument: u32, operation| {
        let mut enable = kvm_enable_cap {
            cap: capability,
            ..kvm_enable_cap::default()
        };
        enable.args[0] = argument.into();
        vm.enable_cap(&enable).map_err(errno(operation))
    };
    // The I/O APIC is not KVM's, but KVM has to know its pins to tell of ends of their interrupts.
    let pins = u32::try_from(IO_APIC_PINS).unwrap_or(u32::MAX);
    enable(
        KVM_CAP_SPLIT_IRQCHIP,
        pins,
        "enabling in-kernel local APICs",
    )?;
    // 32-bit ids, and 255 as an ordinary id instead of a broadcast.
    let x2apic = KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK;
    enable(KVM_CAP_X2APIC_API, x2apic, "enabling 32-bit APIC ids")?;
    // Where guest memory is served in user space, KVM lets a vCPU that waits for a page halt, and
    // has a kernel thread fetch the page meanwhile: always for writing, whatever the vCPU wanted.
    // A page that many nodes read would so be taken exclusively by each. KVM does not do this for a
    // guest whose HLT does not exit and that has no paravirtual page faults (CPUID offers none).
    let exits = vm.check_extension_raw(KVM_CAP_X86_DISABLE_EXITS.into());
    if exits & KVM_X86_DISABLE_EXITS_HLT.cast_signed() != 0 {
        let halt = KVM_X86_DISABLE_EXITS_HLT;
        enable(KVM_CAP_X86_DISABLE_EXITS, halt, "keeping HLT in the guest")?;
    }
    Ok(())
}

impl VcpuHost for KvmHost {
    fn layout(&self) -> Arc<Layout> {
        self.machine.places.now()
    }

    fn take(&self, id: VcpuId) -> Result<Box<dyn Vcpu>, VcpuError> {
        self.machine.places.now().require_local(id)?;
        let mut waiting = self.waiting.lock().expect("no panic under this lock");
        let cpu = waiting.get_mut(id.index()).and_then(Option::take);
        let cpu = cpu.ok_or(VcpuError::Taken(id))?;
        Ok(Box::new(KvmVcpu::new(id, cpu, Arc::clone(&self.machine))))
    }

    fn adopt(
        &self,
        id: VcpuId,
        state: &ArchState,
        tsc_offset: i64,
    ) -> Result<Box<dyn Vcpu>, VcpuError> {
        let vcpu = moves::take_over(&self.machine, id, state, tsc_offset)?;
        Ok(Box::new(vcpu))
    }

    fn relocate(&self, id: VcpuId, to: NodeId) -> Result<(), VcpuError> {
        let layout = self.machine.places.now();
        layout.require_remote(id)?;
        if to == layout.node() {
            return Err(VcpuError::IsLocal(id));
        }
        self.machine.places.set(id, to);
        Ok(())
    }

    fn inject(&self, target: VcpuId, interrupt: Interrupt) -> Result<(), VcpuError> {
        self.machine.inject(target, interrupt)
    }

    fn signal_msi(&self, msi: Msi) -> Result<(), VcpuError> {
        match self.machine.send(msi)? {
            true => Ok(()),
            false => Err(VcpuError::BadMsi { msi }),
        }
    }

    fn set_pin(&self, pin: usize, msi: Option<Msi>) -> Result<(), VcpuError> {
        self.machine.pins.set(&self.machine.vm, pin, msi)
    }

    fn kick(&self, id: VcpuId) -> Result<(), VcpuError> {
        self.machine.places.now().require_local(id)?;
        self.machine.kick(id);
        Ok(())
    }

    fn pause(&self, limit: Duration) -> Result<(), VcpuError> {
        let deadline = Instant::now() + limit.min(LONGEST_PAUSE);
        let machine = &self.machine;
        let layout = machine.places.now();
        for id in layout.local() {
            // Not in haste: emulated hosts stood still now and then where every pause was.
            machine.gate(id).pause(kick::signal);
        }
        let still = |id: &VcpuId| !machine.gate(*id).wait_empty(deadline);
        let running: Vec<_> = layout.local().filter(still).collect();
        match running.is_empty() {
            true => Ok(()),
            false => Err(VcpuError::PauseTimeout { running, limit }),
        }
    }

    fn resume(&self) {
        for id in self.machine.places.now().local() {
            self.machine.gate(id).resume();
        }
    }
}

impl Drop for KvmHost {
    fn drop(&mut self) {
        self.machine.stop_proxies();
    }
}
