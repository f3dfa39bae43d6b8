//! Virtual CPUs of one machine that is spread over several nodes.
//!
//! Each node has a [`VcpuHost`], which gives out the vCPUs that the node runs ([`Vcpu`]: run until
//! a typed [`Exit`], read and write the whole [`ArchState`]), interrupts vCPUs of any node, and
//! kicks and pauses its own. There are two kinds: [`kvm::KvmHost`] on stock KVM, and
//! [`thread::ThreadHost`], where host threads stand for vCPUs. [`clock`] makes one guest time of
//! the nodes' clocks. [`message`] has the wire forms of interrupts and clock readings.
//!
//! This crate does not do: sockets (an [`InterruptSink`] hands interrupts to whatever carries
//! them), guest memory (it is mapped, and kept coherent, by others), devices, threads for vCPUs
//! (the caller runs them), or placement. vCPUs can move between nodes while the machine runs:
//! [`Vcpu::leave`] and [`VcpuHost::adopt`] make and unmake a vCPU, [`migration`] says who does when.
//!
//! # Why in-kernel APICs, and proxies
//! Local APICs can be emulated in user space, or by KVM (`KVM_CAP_SPLIT_IRQCHIP`). This crate takes
//! KVM's, because an unmodified Linux with many vCPUs programs its APIC timer at every tick and
//! writes the end-of-interrupt register at every interrupt: in the kernel, that costs no exit to
//! user space, and on processors with APIC virtualization no exit at all. Interrupts between vCPUs
//! of one node never leave the kernel. And user-space APICs are legacy: current VMMs refuse them,
//! paravirtual features depend on in-kernel ones, and no one tests them with SMP.
//!
//! What KVM does not know is other nodes. So every node's VM has *all* vCPUs of the machine, and
//! those that run elsewhere are *proxies*: they have an APIC with the right id, so every
//! destination mode (physical, logical, broadcast, lowest priority, a device's message) is resolved
//! by KVM itself; they never run guest code; and a thread each hands what arrives to the
//! [`InterruptSink`]. An idle proxy sleeps in the kernel. How a proxy learns of INIT, SIPI, NMI and
//! fixed interrupts with stock ioctls is told in the module `kvm::proxy`.
//!
//! All APICs are in x2APIC mode from the start, with 32-bit ids: logical ids then follow from the
//! APIC ids and need no agreement between nodes. A guest that goes back to xAPIC mode on one node
//! is not supported. Linux takes them as "enabled by BIOS", in physical mode. The I/O APIC is the
//! program's: its messages are [`Msi`]s, its pins are told to KVM by [`VcpuHost::set_pin`], and ends of
//! level-triggered interrupts come out as [`Exit::EndOfInterrupt`].
//!
//! # Loads that count as stores
//! With in-kernel APICs KVM fetches a page that a vCPU waits for by a kernel thread, and that thread
//! asks for the right to write even if the guest only reads. Over memory that is shared page by page
//! this would make every reader an owner. [`kvm::KvmHost`] therefore keeps HLT in the guest
//! (`KVM_CAP_X86_DISABLE_EXITS`), in which case KVM fetches pages on the vCPU's own thread and for
//! what it wants. The price, on processors with virtualization: the thread of a halted vCPU counts
//! as running, so give each vCPU a core of its own.
//!
//! # Limits
//! * vCPUs are packages of their own to the guest; CPUID withholds all paravirtual features by
//!   which a host kernel writes guest pages (asynchronous page faults, steal time, kvmclock, ...).
//!   A guest needs its time-stamp counter's frequency told: leaf 0x40000010 has it, and for Linux
//!   the command line (`tsc_early_khz=`), which takes the leaf from another hypervisor only. The
//!   counter is told to be invariant whatever the host's is: it is the machine's one clock.
//! * A [kick](VcpuHost::kick) gets a vCPU out that waits for a page of guest memory, if guest code
//!   itself touched it. If KVM emulates the access, the kernel waits for the page and only a fatal
//!   signal ends that: the kick takes effect when the page has come (its thread is busy until
//!   then). Nothing the guest sees is spoilt either way.
//! * Time-stamp counters can be shifted where KVM does it. A software KVM may let guest code read
//!   the host's counter: [`Vcpu::set_tsc_offset`] then refuses. The [`clock::GuestClock`] can be
//!   served by a device everywhere.
//! * States have no AMX registers: KVM gives those only to a process that asked for them.
//!
//! # Example
//! ```
//! use giantvm_core::VcpuId;
//! use giantvm_vcpu::{Interrupt, InterruptSink, VcpuError};
//!
//! /// Prints what goes to other nodes, in place of sending it.
//! struct Print;
//! impl InterruptSink for Print {
//!     fn forward(&self, target: VcpuId, interrupt: Interrupt) {
//!         println!("to vCPU {target}: {interrupt:?}");
//!     }
//!     fn failed(&self, target: VcpuId, error: VcpuError) {
//!         eprintln!("vCPU {target} is cut off: {error}");
//!     }
//! }
//! Print.forward(VcpuId::BOOT, Interrupt::Nmi);
//! ```
//!
//! # Signals
//! A [`kvm::KvmHost`] installs handlers, once for the process: of the eighth real-time signal, for
//! kicks; and of SIGBUS, which hands on all but errors of the memory that a vCPU touches (see
//! [`Failure::Memory`]). A program that installs its own later has to hand on likewise.
//!
//! # Unsafe code
//! In `haste` (how threads are scheduled), `kvm::kick` and `kvm::poison` (signals), `kvm::cpu` (the page shared with
//! the kernel), `kvm::memory` (memory given to guests) and `kvm::ioctl`; nowhere else.

mod error;
mod exit;
#[cfg(feature = "kvm")]
mod gate;
#[cfg(all(test, feature = "kvm"))]
mod gate_tests;
mod haste;
mod host;
mod interrupt;
#[cfg(feature = "kvm")]
pub mod kvm;
mod layout;
mod pending;
mod state;
mod sync;

pub mod clock;
pub mod message;
pub mod migration;
pub mod thread;

pub use error::VcpuError;
pub use exit::{Exit, Failure};
pub use giantvm_core::{AccessSize, LOWEST_VECTOR, Msi};
pub use host::{IO_APIC_PINS, InterruptSink, NotLeft, Vcpu, VcpuHost};
pub use interrupt::Interrupt;
pub use layout::Layout;
pub use state::{ArchState, Registers, Section, StartState};
