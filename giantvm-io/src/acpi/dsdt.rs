//! DSDT: the devices that cannot be found by looking.

use acpi_tables::Aml;
use acpi_tables::aml::{
    Device, EISAName, IO, Interrupt, Memory32Fixed, Name, Package, Path, ResourceTemplate, Scope,
};
use acpi_tables::sdt::Sdt;

use super::{Devices, SerialPort, Trigger, VirtioMmio, tables};
use crate::devices::{PanicDevice, PowerDevice, RtcDevice};
use crate::ioapic::Pin;

/// The table. There are no processors in it: the MADT has them, and an object of each would say
/// nothing but its number again.
pub(super) fn table(devices: &Devices) -> Sdt {
    let mut scope = Vec::new();
    if let Some(SerialPort { port, pin }) = devices.serial {
        let interrupt = interrupt(pin, Trigger::Edge);
        let resources: [&dyn Aml; 2] = [&ports(port, 8), &interrupt];
        device(
            &mut scope,
            "COM1",
            &EISAName::new("PNP0501"),
            0,
            &resources,
            None,
        );
    }
    if let Some(port) = devices.rtc {
        let len = u8::try_from(RtcDevice::BYTES).unwrap_or(u8::MAX);
        let resources: [&dyn Aml; 1] = [&ports(port, len)];
        device(
            &mut scope,
            "RTC_",
            &EISAName::new("PNP0B00"),
            0,
            &resources,
            None,
        );
    }
    if let Some(port) = devices.panic {
        let len = u8::try_from(PanicDevice::BYTES).unwrap_or(u8::MAX);
        let resources: [&dyn Aml; 1] = [&ports(port, len)];
        device(&mut scope, "PEVT", &"QEMU0001", 0, &resources, None);
    }
    for (number, virtio) in (0..).zip(&devices.virtio) {
        let &VirtioMmio {
            address,
            bytes,
            pin,
            trigger,
            domain,
        } = virtio;
        let memory = Memory32Fixed::new(true, address, bytes);
        let interrupt = interrupt(pin, trigger);
        let resources: [&dyn Aml; 2] = [&memory, &interrupt];
        let name = format!("V{number:03X}");
        device(&mut scope, &name, &"LNRO0005", number, &resources, domain);
    }
    let mut contents = Vec::new();
    if !scope.is_empty() {
        contents = Scope::raw(Path::new("_SB_"), scope);
    }
    // Type of S5 for the sleep control register, and the same once more where there are two.
    let type_of_s5 = PowerDevice::SLEEP_TYPE;
    let package = Package::new(vec![&type_of_s5, &type_of_s5]);
    Name::new(Path::new("_S5_"), &package).to_aml_bytes(&mut contents);
    tables::table(*b"DSDT", 2, &contents)
}

/// A device that is present and working, so it needs no status.
fn device(
    scope: &mut Vec<u8>,
    name: &str,
    hardware: &dyn Aml,
    number: u32,
    resources: &[&dyn Aml],
    domain: Option<u32>,
) {
    let hardware = Name::new(Path::new("_HID"), hardware);
    let number = Name::new(Path::new("_UID"), &number);
    let resources = ResourceTemplate::new(resources.to_vec());
    let resources = Name::new(Path::new("_CRS"), &resources);
    let domain = domain.map(|domain| Name::new(Path::new("_PXM"), &domain));
    let mut children: Vec<&dyn Aml> = vec![&hardware, &number, &resources];
    if let Some(domain) = &domain {
        children.push(domain);
    }
    Device::new(Path::new(name), children).to_aml_bytes(scope);
}

fn ports(first: u16, len: u8) -> IO {
    IO::new(first, first, 1, len)
}

fn interrupt(pin: Pin, trigger: Trigger) -> Interrupt {
    Interrupt::new(
        true,
        trigger == Trigger::Edge,
        false,
        false,
        pin.get().into(),
    )
}
