//! The host itself: makes the VM, gives out vCPUs, keeps the proxies' threads.

use std::num::NonZeroU8;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use giantvm_core::{Msi, VcpuId};
use kvm_bindings::{
    KVM_CAP_SPLIT_IRQCHIP, KVM_CAP_X2APIC_API, KVM_CAP_X86_DISABLE_EXITS, KVM_MAX_CPUID_ENTRIES,
    KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK, KVM_X2APIC_API_USE_32BIT_IDS,
    KVM_X86_DISABLE_EXITS_HLT, kvm_enable_cap, kvm_msi,
};
use kvm_ioctls::{Cap, Kvm, VmFd};

use super::cpu::Cpu;
use super::cpuid::Timing;
use super::image::{Image, READ_ONLY_PAGES};
use super::machine::Machine;
use super::memory::{PrivatePages, Slots};
use super::pins::Pins;
use super::proxy::Proxy;
use super::vcpu::KvmVcpu;
use super::{cpuid, errno, kick, poison, registers};
use crate::error::VcpuError;
use crate::gate::Gate;
use crate::host::{IO_APIC_PINS, InterruptSink, LONGEST_PAUSE, Vcpu, VcpuHost};
use crate::interrupt::Interrupt;
use crate::layout::Layout;

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
    proxies: Vec<JoinHandle<()>>,
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
        let (mut cpus, mut tsc_khz) = (Vec::with_capacity(layout.count()), None);
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
            cpus.push((id, Cpu::new(fd, vm.run_size())));
        }
        let machine = Arc::new(Machine {
            gates: layout.all().map(|_| Gate::new()).collect(),
            msrs: msrs.as_slice().to_vec(),
            stopping: AtomicBool::new(false),
            vm,
            layout,
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
            proxies: Vec::new(),
        };
        let mut waiting = Vec::with_capacity(cpus.len());
        for (id, cpu) in cpus {
            if machine.layout.is_local(id) {
                waiting.push(Some(cpu));
                continue;
            }
            let proxy = Proxy::new(id, cpu, Arc::clone(&machine))?;
            host.proxies.push(spawn(id, proxy)?);
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

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the address is given in two halves"
    )]
    fn send(&self, msi: Msi) -> Result<bool, VcpuError> {
        let delivered = self.machine.vm.signal_msi(kvm_msi {
            address_lo: msi.address as u32,
            address_hi: (msi.address >> 32) as u32,
            data: msi.data,
            ..kvm_msi::default()
        });
        match delivered {
            Ok(count) => Ok(count > 0),
            Err(error) if error.errno() == libc::EINVAL => Err(VcpuError::BadMsi { msi }),
            Err(error) => Err(super::os("signalling an interrupt", error.errno())),
        }
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

fn spawn(id: VcpuId, proxy: Proxy) -> Result<JoinHandle<()>, VcpuError> {
    thread::Builder::new()
        .name(format!("proxy {id}"))
        .spawn(move || proxy.serve())
        .map_err(|source| VcpuError::Os {
            operation: "starting a proxy's thread",
            source,
        })
}

impl VcpuHost for KvmHost {
    fn layout(&self) -> &Layout {
        &self.machine.layout
    }

    fn take(&self, id: VcpuId) -> Result<Box<dyn Vcpu>, VcpuError> {
        self.machine.layout.require_local(id)?;
        let mut waiting = self.waiting.lock().expect("no panic under this lock");
        let cpu = waiting.get_mut(id.index()).and_then(Option::take);
        let cpu = cpu.ok_or(VcpuError::Taken(id))?;
        Ok(Box::new(KvmVcpu::new(id, cpu, Arc::clone(&self.machine))))
    }

    fn inject(&self, target: VcpuId, interrupt: Interrupt) -> Result<(), VcpuError> {
        match self.machine.layout.node_of(target) {
            None => Err(VcpuError::NoSuchVcpu(target)),
            // A vCPU whose APIC is off takes no interrupt: that is no error of the sender.
            Some(_) if self.machine.layout.is_local(target) => {
                let msi = self.machine.pins.as_sent(target, interrupt.to_msi(target));
                self.send(msi).map(|_| ())
            }
            Some(_) => {
                self.machine.sink.forward(target, interrupt);
                Ok(())
            }
        }
    }

    fn signal_msi(&self, msi: Msi) -> Result<(), VcpuError> {
        match self.send(msi)? {
            true => Ok(()),
            false => Err(VcpuError::BadMsi { msi }),
        }
    }

    fn set_pin(&self, pin: usize, msi: Option<Msi>) -> Result<(), VcpuError> {
        self.machine.pins.set(&self.machine.vm, pin, msi)
    }

    fn kick(&self, id: VcpuId) -> Result<(), VcpuError> {
        self.machine.layout.require_local(id)?;
        self.machine.kick(id);
        Ok(())
    }

    fn pause(&self, limit: Duration) -> Result<(), VcpuError> {
        let deadline = Instant::now() + limit.min(LONGEST_PAUSE);
        let machine = &self.machine;
        for id in machine.layout.local() {
            machine.gate(id).pause(kick::signal);
        }
        let still = |id: &VcpuId| !machine.gate(*id).wait_empty(deadline);
        let running: Vec<_> = machine.layout.local().filter(still).collect();
        match running.is_empty() {
            true => Ok(()),
            false => Err(VcpuError::PauseTimeout { running, limit }),
        }
    }

    fn resume(&self) {
        for id in self.machine.layout.local() {
            self.machine.gate(id).resume();
        }
    }
}

impl Drop for KvmHost {
    fn drop(&mut self) {
        self.machine.stop();
        for proxy in self.proxies.drain(..) {
            proxy.thread().unpark();
            // A sink may hold the last reference: then this is a proxy's thread, which ends after
            // this. A panic was reported by the thread itself.
            if proxy.thread().id() != thread::current().id() {
                proxy.join().ok();
            }
        }
    }
}
