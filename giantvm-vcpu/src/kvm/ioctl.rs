//! KVM calls for which kvm-ioctls has no safe form.
#![expect(unsafe_code, reason = "ioctls with pointers")]

use kvm_bindings::{KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET, KVMIO, kvm_device_attr, kvm_xsave};
use kvm_ioctls::VcpuFd;
use vmm_sys_util::ioctl::ioctl_with_ref;
use vmm_sys_util::ioctl_iow_nr;

use crate::error::VcpuError;

ioctl_iow_nr!(KVM_SET_DEVICE_ATTR, KVMIO, 0xe1, kvm_device_attr);
ioctl_iow_nr!(KVM_GET_DEVICE_ATTR, KVMIO, 0xe2, kvm_device_attr);

fn tsc_offset_at(address: u64) -> kvm_device_attr {
    kvm_device_attr {
        flags: 0,
        group: KVM_VCPU_TSC_CTRL,
        attr: KVM_VCPU_TSC_OFFSET.into(),
        addr: address,
    }
}

/// Reads the difference of the guest's time-stamp counter to the host's.
pub(super) fn tsc_offset(vcpu: &VcpuFd) -> Result<i64, VcpuError> {
    let mut offset = 0_u64;
    let attr = tsc_offset_at((&raw mut offset).expose_provenance() as u64);
    // SAFETY: the attribute's value is 8 bytes, which the kernel writes to `offset`.
    let result = unsafe { ioctl_with_ref(vcpu, KVM_GET_DEVICE_ATTR(), &attr) };
    super::check("reading the TSC offset", result)?;
    Ok(offset.cast_signed())
}

/// Sets the difference of the guest's time-stamp counter to the host's.
pub(super) fn set_tsc_offset(vcpu: &VcpuFd, offset: i64) -> Result<(), VcpuError> {
    let attr = tsc_offset_at((&raw const offset).expose_provenance() as u64);
    // SAFETY: the attribute's value is 8 bytes, which the kernel reads from `offset`.
    let result = unsafe { ioctl_with_ref(vcpu, KVM_SET_DEVICE_ATTR(), &attr) };
    super::check("setting the TSC offset", result)?;
    // A KVM that lets guest code read the host's counter directly accepts any offset and ignores
    // it.
    match tsc_offset(vcpu)? {
        applied if applied == offset => Ok(()),
        _ => Err(VcpuError::Unsupported {
            host: "this host's KVM",
            what: "shift a guest's time-stamp counter",
        }),
    }
}

/// Loads the extended registers.
pub(super) fn set_xsave(vcpu: &VcpuFd, xsave: &kvm_xsave) -> Result<(), VcpuError> {
    // SAFETY: the kernel reads 4096 bytes unless the process asked for dynamically enabled
    // features (arch_prctl), which this library never does; the structure has 4096.
    unsafe { vcpu.set_xsave(xsave) }.map_err(super::errno("loading the extended registers"))
}
