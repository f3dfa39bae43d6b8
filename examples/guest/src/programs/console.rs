//! Whole lines on the serial line, one vCPU at a time.

use core::fmt::{self, Write};
use core::sync::atomic::Ordering::SeqCst;

use super::context::{Context, HOT_CONSOLE_NEXT, HOT_CONSOLE_SERVING};
use super::outcome::Site;
use crate::abi;
use crate::machine::Machine;

/// Most bytes of a line, with its end; what does not fit is cut off.
pub const LINE: usize = 100;

/// A line under construction.
#[derive(Debug)]
struct Line {
    bytes: [u8; LINE],
    used: usize,
}

impl Line {
    fn new() -> Self {
        Self {
            bytes: [0; LINE],
            used: 0,
        }
    }

    fn send<M: Machine>(&self, machine: &M) {
        for &byte in &self.bytes[..self.used] {
            machine.port_out8(abi::PORT_SERIAL, byte);
        }
        machine.port_out8(abi::PORT_SERIAL, b'\n');
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if self.used < LINE - 1 {
                self.bytes[self.used] = if byte == b'\n' { b' ' } else { byte };
                self.used += 1;
            }
        }
        Ok(())
    }
}

/// Prints a line that starts with the vCPU and its node.
pub fn print<M: Machine>(context: &Context<'_, M>, text: fmt::Arguments<'_>) {
    let mut line = Line::new();
    // A line takes everything and cuts the rest; it has no errors.
    let _ = match context.machine().team() {
        Some(_) => write!(line, "thread {}: {text}", context.vcpu()),
        None => write!(
            line,
            "vcpu {} node {}: {text}",
            context.vcpu(),
            context.node()
        ),
    };
    let next = context.hot_page(HOT_CONSOLE_NEXT);
    let serving = context.hot_page(HOT_CONSOLE_SERVING);
    let mine = next.fetch_add(1, SeqCst);
    // Whoever waits in vain prints all the same: a mixed line is better than none.
    let _ = context.wait(Site::Lock, || serving.load(SeqCst) >= mine);
    line.send(context.machine());
    serving.fetch_max(mine + 1, SeqCst);
}

/// Prints a line without a lock, for a guest that is about to end.
pub fn print_unlocked<M: Machine>(machine: &M, text: fmt::Arguments<'_>) {
    let mut line = Line::new();
    let _ = line.write_fmt(text);
    line.send(machine);
}
