//! Processors that leave and come back.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};

use crate::everywhere::{everywhere, online};
use crate::options::Options;

/// Takes every processor away that can be, one after the other, works without it and brings it back.
pub(crate) fn hotplug(_options: &Options) -> anyhow::Result<String> {
    let all = online()?;
    let mut plugged = 0;
    for cpu in &all {
        let switch = format!("/sys/devices/system/cpu/cpu{cpu}/online");
        if !Path::new(&switch).exists() {
            continue;
        }
        turn(&switch, false)?;
        let rest = online()?;
        ensure!(!rest.contains(cpu), "processor {cpu} did not leave");
        works(&rest)?;
        turn(&switch, true)?;
        let again = online()?;
        ensure!(again == all, "online are {again:?}, not {all:?}");
        works(&all)?;
        plugged += 1;
    }
    if plugged == 0 && all.len() > 1 {
        bail!("no processor can be taken away");
    }
    Ok(format!("{plugged} processors left and came back"))
}

fn turn(switch: &str, on: bool) -> anyhow::Result<()> {
    let value = if on { "1" } else { "0" };
    fs::write(switch, value).with_context(|| format!("cannot write {value} to {switch}"))
}

fn works(cpus: &[usize]) -> anyhow::Result<()> {
    let ran = everywhere(|_, _| Ok(rustix::thread::sched_getcpu()))?;
    ensure!(ran == cpus, "what was put on {cpus:?} ran on {ran:?}");
    Ok(())
}
