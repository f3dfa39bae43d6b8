//! The lab's scenarios.

// First, as the others have its macros.
#[macro_use]
mod steps;
mod builtin;
mod linux;
mod reads;

use crate::scenario::{Host, Role, Scenario, Step};

/// All of them, the simplest first.
pub(crate) fn all() -> impl Iterator<Item = &'static Scenario> {
    builtin::ALL.iter().chain(linux::ALL).chain(reads::ALL)
}

/// An emulated host.
const fn host(cpus: u8, memory: u32, steps: &'static [Step]) -> Host {
    let role = Role::Host;
    Host {
        role,
        cpus,
        memory,
        steps,
    }
}

/// An emulated host that has Linux for a guest.
const fn linux_host(cpus: u8, memory: u32, steps: &'static [Step]) -> Host {
    let role = Role::LinuxHost;
    Host {
        role,
        ..host(cpus, memory, steps)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::emulators::Paging;

    #[test]
    fn names_are_unique_and_some_scenarios_are_short() {
        let names: BTreeSet<_> = all().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), all().count());
        assert!(all().any(|scenario| scenario.short));
    }

    #[test]
    fn the_shell_takes_every_command() {
        for step in all()
            .flat_map(|scenario| scenario.hosts)
            .flat_map(|host| host.steps)
        {
            assert!(!step.command.contains('\''), "{}", step.command);
            assert!(step.limit > 0);
        }
    }

    #[test]
    fn no_linux_halts_a_processor_for_good_where_that_would_hold_its_host_up() {
        let extended = all().filter(|scenario| scenario.paging == Paging::Extended);
        let linux = extended
            .flat_map(|scenario| scenario.hosts)
            .filter(|host| host.role == Role::LinuxHost);
        let steps: Vec<_> = linux.flat_map(|host| host.steps).collect();
        assert!(!steps.is_empty());
        for step in steps {
            let command = step.command;
            assert!(command.contains(" reboot=force "), "{command}");
            assert!(!command.contains("hotplug"), "{command}");
        }
    }

    #[test]
    fn a_machine_that_is_a_guest_has_one_step() {
        let hosts = all().flat_map(|scenario| scenario.hosts);
        for guest in hosts.filter(|host| host.role == Role::Guest) {
            assert_eq!(guest.steps.len(), 1);
        }
    }
}
