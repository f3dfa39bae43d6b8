//! The terminal at the other end of the console.

use std::io::{self, Write};

use giantvm_core::{NodeId, VcpuId};
use giantvm_io::Origin;

use crate::console::{Console, ConsoleTo};

/// Where what the guest says goes.
#[derive(Debug)]
pub(crate) enum Output {
    /// As it is, to the terminal that the user sits at.
    Terminal,
    /// In lines, beside other things.
    Lines {
        console: Console,
        /// The node of the console.
        node: NodeId,
        line: Vec<u8>,
    },
}

impl Output {
    /// As it is if the terminal is for that, else in lines.
    pub(crate) fn new(console: Console, node: NodeId) -> Self {
        match console.to() {
            ConsoleTo::Stdout => Self::Terminal,
            ConsoleTo::Stderr | ConsoleTo::Tail(_) => Self::Lines {
                console,
                node,
                line: Vec::new(),
            },
        }
    }
}

/// Most bytes of a line.
const MAX_LINE: usize = 1024;

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Terminal => {
                let mut out = io::stdout();
                out.write_all(bytes)?;
                out.flush()?;
            }
            Self::Lines {
                console,
                node,
                line,
            } => {
                for &byte in bytes {
                    if byte == b'\n' || line.len() == MAX_LINE {
                        let origin = Origin {
                            node: *node,
                            vcpu: VcpuId::BOOT,
                        };
                        console.line(origin, line.strip_suffix(b"\r").unwrap_or(line));
                        line.clear();
                    }
                    if byte != b'\n' {
                        line.push(byte);
                    }
                }
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
