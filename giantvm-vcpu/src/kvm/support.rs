//! What this host's KVM can do, in plain words.

use giantvm_core::{MAX_VCPUS, VcpuId};
use kvm_ioctls::{Cap, Kvm, VmFd};

use super::{errno, ioctl};
use crate::error::VcpuError;

/// The only version of KVM's interface there is.
const API_VERSION: i32 = 12;

/// What every machine needs: the capability, its name, and what it is for.
const NEEDED: [(Cap, &str, &str); 5] = [
    (
        Cap::SplitIrqchip,
        "local APICs in the kernel (SPLIT_IRQCHIP)",
        "vCPUs get their interrupts from it",
    ),
    (
        Cap::X2ApicApi,
        "32-bit APIC ids (X2APIC_API)",
        "vCPUs of other nodes are addressed by them",
    ),
    (
        Cap::ImmediateExit,
        "immediate exit (IMMEDIATE_EXIT)",
        "a vCPU can be stopped without losing the request",
    ),
    (
        Cap::SignalMsi,
        "message-signalled interrupts (SIGNAL_MSI)",
        "interrupts of devices and of other nodes arrive by them",
    ),
    (
        Cap::ReadonlyMem,
        "read-only memory (READONLY_MEM)",
        "vCPUs of other nodes have stand-ins that live in it",
    ),
];

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What it is.
    pub what: &'static str,
    /// Whether the host has it.
    pub ok: bool,
    /// Whether no vCPU can run without it.
    pub needed: bool,
    /// Why it matters if it is there, what to do if it is not.
    pub detail: String,
}

/// What this host's KVM can do.
///
/// ```
/// use giantvm_vcpu::kvm::Support;
///
/// let support = Support::probe();
/// for check in support.checks() {
///     println!("{} {}: {}", if check.ok { "yes" } else { "no " }, check.what, check.detail);
/// }
/// ```
#[derive(Debug)]
pub struct Support {
    probed: Result<Probed, VcpuError>,
}

#[derive(Debug)]
struct Probed {
    version: i32,
    /// In the order of [`NEEDED`].
    has: [bool; NEEDED.len()],
    most_vcpus: usize,
    /// Whether a vCPU's time-stamp counter can be shifted.
    shift: Result<(), VcpuError>,
}

impl Support {
    /// Asks KVM, and tries on a virtual machine of its own what KVM does not tell.
    #[must_use]
    pub fn probe() -> Self {
        Self { probed: probe() }
    }

    /// Whether vCPUs can run here.
    #[must_use]
    pub fn usable(&self) -> bool {
        self.checks().iter().all(|check| check.ok || !check.needed)
    }

    /// Everything that was looked at, for people. Only the first if KVM cannot be used at all.
    #[must_use]
    pub fn checks(&self) -> Vec<Check> {
        let access = |ok, detail| Check {
            what: "KVM",
            ok,
            needed: true,
            detail,
        };
        let probed = match &self.probed {
            Err(error) => return vec![access(false, error.to_string())],
            Ok(probed) => probed,
        };
        let version = match probed.version {
            API_VERSION => "this process may run virtual machines".to_owned(),
            other => format!("its interface has version {other}, not {API_VERSION}"),
        };
        let mut checks = vec![access(probed.version == API_VERSION, version)];
        for ((_, what, purpose), ok) in NEEDED.into_iter().zip(probed.has) {
            let detail = match ok {
                true => purpose.to_owned(),
                false => format!("missing, and {purpose}: use Linux 4.14 or newer"),
            };
            checks.push(Check {
                what,
                ok,
                needed: true,
                detail,
            });
        }
        checks.push(Check {
            what: "vCPUs of a machine",
            ok: probed.most_vcpus >= MAX_VCPUS,
            needed: false,
            detail: format!("at most {}", probed.most_vcpus.min(MAX_VCPUS)),
        });
        checks.push(Check {
            what: "time-stamp counter",
            ok: probed.shift.is_ok(),
            needed: false,
            detail: match &probed.shift {
                Ok(()) => "can be shifted, so that it agrees between hosts".into(),
                Err(error) => format!(
                    "{error}: fine while all nodes are on this host; between hosts guests must \
                     not read time from it"
                ),
            },
        });
        checks
    }
}

fn probe() -> Result<Probed, VcpuError> {
    let kvm = Kvm::new().map_err(errno("opening /dev/kvm"))?;
    let vm = kvm.create_vm().map_err(errno("creating a VM"))?;
    Ok(Probed {
        version: kvm.get_api_version(),
        has: NEEDED.map(|(capability, ..)| vm.check_extension(capability)),
        most_vcpus: kvm.get_max_vcpus(),
        shift: try_shift(&vm),
    })
}

fn try_shift(vm: &VmFd) -> Result<(), VcpuError> {
    let vcpu = vm
        .create_vcpu(VcpuId::BOOT.get().into())
        .map_err(errno("creating a vCPU"))?;
    // Any offset that no vCPU starts with.
    ioctl::set_tsc_offset(&vcpu, 1 << 40)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_kvm_gets_one_line_with_the_mend() {
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        let operation = "opening /dev/kvm";
        let support = Support {
            probed: Err(VcpuError::Os { operation, source }),
        };
        let checks = support.checks();
        assert!(!support.usable());
        assert_eq!(checks.len(), 1);
        assert!(checks[0].detail.contains("load the kvm module"));
    }

    #[test]
    fn only_what_is_needed_makes_a_host_unusable() {
        let probed = |has, most_vcpus| Support {
            probed: Ok(Probed {
                version: API_VERSION,
                has,
                most_vcpus,
                shift: Err(VcpuError::HostLacks("x")),
            }),
        };
        assert!(probed([true; 5], 8).usable());
        assert!(!probed([true, true, false, true, true], MAX_VCPUS).usable());
    }
}
