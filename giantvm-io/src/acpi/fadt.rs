//! FADT: the fixed hardware, of which there is next to none.

use acpi_tables::fadt::{FADT, Flags, PmProfile};
use acpi_tables::gas::{AccessSize, AddressSpace, GAS};

use super::{Devices, tables};
use crate::devices::{PowerDevice, RtcDevice};

const NO_VGA: u16 = 1 << 2;
const NO_RTC: u16 = 1 << 5;

/// The table, for a DSDT at `dsdt`.
pub(super) fn table(devices: &Devices, dsdt: u64) -> FADT {
    let mut table = tables::blank_fadt()
        .dsdt_64(dsdt)
        .preferred_pm_profile(PmProfile::EnterpriseServer)
        .flag(Flags::HwReducedAcpi)
        .flag(Flags::ResetRegSup)
        .flag(Flags::Headless)
        .flag(Flags::Wbinvd)
        .flag(Flags::ForceApicPhysicalDestinationMode);
    let power = devices.power;
    table.reset_reg = byte_port(power.reset);
    table.reset_value = PowerDevice::RESET_VALUE;
    table.sleep_control_reg = byte_port(power.sleep);
    table.sleep_status_reg = byte_port(power.sleep.wrapping_add(1));
    let no_rtc = if devices.rtc.is_none() { NO_RTC } else { 0 };
    // Nor is there an i8042 to be probed, nor what else the first bits stand for.
    table.iapc_boot_arch = (NO_VGA | no_rtc).into();
    table.century = devices.rtc.map_or(0, |_| RtcDevice::CENTURY);
    if let Some(port) = devices.timer {
        table = table.flag(Flags::TmrValExt);
        table.pm_tmr_blk = u32::from(port).into();
        table.pm_tmr_len = 4;
        table.x_pm_tmr_blk = GAS::new(
            AddressSpace::SystemIo,
            32,
            0,
            AccessSize::DwordAccess,
            port.into(),
        );
    }
    table.finalize()
}

fn byte_port(port: u16) -> GAS {
    GAS::new(
        AddressSpace::SystemIo,
        8,
        0,
        AccessSize::ByteAccess,
        port.into(),
    )
}
