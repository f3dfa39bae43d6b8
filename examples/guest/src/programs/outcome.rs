//! What a program ends with, and how that travels through a result block.

use core::fmt;

use crate::abi;

/// What a program reports, in the order its module documents; unused places are zero.
pub type Values = [u64; abi::VALUES];

/// Puts a program's values in their places.
///
/// # Panics
/// If there are more than [`abi::VALUES`].
#[must_use]
pub(super) fn values(reported: &[u64]) -> Values {
    let mut values = [0; abi::VALUES];
    values[..reported.len()].copy_from_slice(reported);
    values
}

/// Makes an enum whose variants travel as numbers and print as words.
macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $number:literal $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u32)]
        pub enum $name { $($(#[$variant_doc])* $variant = $number,)* }

        impl $name {
            /// The one with this number.
            #[must_use]
            pub const fn from_number(number: u64) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $text,)* })
            }
        }
    };
}

numbered! {
    /// What a wait waited for.
    Site {
        /// All vCPUs at one point.
        Barrier = 1 "all vCPUs to arrive",
        /// Its turn in a lock.
        Lock = 2 "its turn in the lock",
        /// An interrupt, its own or one it sent.
        Interrupt = 3 "an interrupt",
        /// Its turn to read the clocks.
        Turn = 4 "its turn at the clocks",
    }
}

numbered! {
    /// What a program compared.
    Check {
        /// Counter that all vCPUs incremented.
        Counter = 1 "counter",
        /// Tickets drawn from a lock.
        Tickets = 2 "tickets drawn",
        /// A vCPU saw a counter move backwards.
        Order = 3 "order of counts",
        /// Sum over memory.
        Sum = 4 "sum over memory",
        /// NAS EP's sum of X deviates.
        EpX = 5 "EP sum of X deviates",
        /// NAS EP's sum of Y deviates.
        EpY = 6 "EP sum of Y deviates",
        /// NAS EP's pairs accepted, and the sum of its counts.
        EpCounts = 7 "EP counts",
        /// Published ranks of keys that were found.
        IsPartial = 8 "published ranks found",
        /// Neighbours out of order after the sort.
        IsUnsorted = 9 "keys out of order",
        /// Keys lost or made up by the sort.
        IsKeys = 10 "checksum of sorted keys",
        /// Interrupts that arrived.
        Interrupts = 11 "interrupts received",
        /// What a device register read as.
        Register = 12 "device register",
        /// What another vCPU's device register read as.
        OtherRegister = 13 "another vCPU's device register",
        /// Accesses the device saw.
        Accesses = 14 "accesses the device saw",
        /// The time stamp counter ran backwards.
        Cycles = 15 "time stamp counter ran backwards",
        /// The clock device ran backwards.
        Clock = 16 "clock device ran backwards",
        /// The machine slept less than it was told.
        Slept = 17 "milliseconds asleep",
        /// vCPUs woken from sleep.
        Woken = 18 "vCPUs woken",
        /// Clock readings taken.
        Readings = 19 "clock readings",
        /// Rounds of litmus tests that ended as x86-TSO forbids.
        Forbidden = 20 "litmus rounds that x86-TSO forbids",
        /// Rounds of a litmus test.
        Rounds = 21 "litmus rounds",
        /// NAS CG's estimate of the eigenvalue.
        CgZeta = 22 "CG eigenvalue",
        /// NAS MG's norm of what its cycles leave.
        MgNorm = 23 "MG norm of the residual",
        /// The real part of a checksum of NAS FT.
        FtReal = 24 "FT checksum, real part",
        /// The imaginary part of a checksum of NAS FT.
        FtImaginary = 25 "FT checksum, imaginary part",
    }
}

/// Whether a number is as near to a published one as a benchmark asks, relative to that.
#[must_use]
pub fn agrees(found: f64, published: f64, tolerance: f64) -> bool {
    ((found - published) / published).abs() <= tolerance
}

/// Why a program failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// A wait passed its deadline. The other vCPUs are told to stop.
    TimedOut(Site),
    /// Another vCPU's wait passed its deadline.
    Stopped,
    /// A result was wrong.
    Wrong {
        /// What was compared.
        check: Check,
        /// What it had to be.
        expected: u64,
        /// What it was.
        found: u64,
    },
    /// The program does not take this parameter.
    Parameter {
        /// Its place in the list of parameters.
        index: u64,
        /// What it was.
        value: u64,
    },
    /// The memory is too small for the parameters.
    Memory {
        /// Bytes of memory the machine would need.
        needed: u64,
        /// Bytes it has.
        available: u64,
    },
    /// The machine has too few vCPUs.
    Vcpus {
        /// vCPUs the program needs.
        needed: u32,
        /// vCPUs the machine has.
        available: u32,
    },
    /// No program has this number.
    Program(u64),
}

const TIMED_OUT: u64 = 2;
const STOPPED: u64 = 3;
const WRONG: u64 = 4;
const PARAMETER: u64 = 5;
const MEMORY: u64 = 6;
const PROGRAM: u64 = 7;
const VCPUS: u64 = 8;

impl Failure {
    /// Fails unless the two are equal.
    ///
    /// # Errors
    /// [`Failure::Wrong`].
    pub fn check(check: Check, expected: u64, found: u64) -> Result<(), Self> {
        if expected == found {
            Ok(())
        } else {
            Err(Self::Wrong {
                check,
                expected,
                found,
            })
        }
    }

    /// Fails unless a number is near a published one. Both travel as bits of doubles.
    ///
    /// # Errors
    /// [`Failure::Wrong`].
    pub fn check_near(
        check: Check,
        published: f64,
        found: f64,
        tolerance: f64,
    ) -> Result<(), Self> {
        if agrees(found, published, tolerance) {
            Ok(())
        } else {
            let (expected, found) = (published.to_bits(), found.to_bits());
            Err(Self::Wrong {
                check,
                expected,
                found,
            })
        }
    }

    /// Outcome code and the first three values of a result block.
    #[must_use]
    pub fn encode(self) -> [u64; 4] {
        match self {
            Self::TimedOut(site) => [TIMED_OUT, site as u64, 0, 0],
            Self::Stopped => [STOPPED, 0, 0, 0],
            Self::Wrong {
                check,
                expected,
                found,
            } => [WRONG, check as u64, expected, found],
            Self::Parameter { index, value } => [PARAMETER, index, value, 0],
            Self::Memory { needed, available } => [MEMORY, needed, available, 0],
            Self::Vcpus { needed, available } => [VCPUS, needed.into(), available.into(), 0],
            Self::Program(number) => [PROGRAM, number, 0, 0],
        }
    }

    /// The failure that [`Failure::encode`] turned into these words; `None` if it made no such.
    #[must_use]
    pub fn decode(words: [u64; 4]) -> Option<Self> {
        let [code, a, b, c] = words;
        Some(match code {
            TIMED_OUT => Self::TimedOut(Site::from_number(a)?),
            STOPPED => Self::Stopped,
            WRONG => Self::Wrong {
                check: Check::from_number(a)?,
                expected: b,
                found: c,
            },
            PARAMETER => Self::Parameter { index: a, value: b },
            MEMORY => Self::Memory {
                needed: a,
                available: b,
            },
            VCPUS => Self::Vcpus {
                needed: u32::try_from(a).ok()?,
                available: u32::try_from(b).ok()?,
            },
            PROGRAM => Self::Program(a),
            _ => return None,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut(site) => write!(f, "waited too long for {site}"),
            Self::Stopped => write!(f, "stopped because another vCPU failed"),
            Self::Wrong {
                check,
                expected,
                found,
            } => {
                write!(f, "{check}: {found:#x}, not {expected:#x}")
            }
            Self::Parameter { index, value } => write!(f, "parameter {index} cannot be {value}"),
            Self::Memory { needed, available } => {
                write!(f, "needs {needed} bytes of memory, has {available}")
            }
            Self::Vcpus { needed, available } => {
                write!(f, "needs {needed} vCPUs, has {available}")
            }
            Self::Program(number) => write!(f, "there is no program {number}"),
        }
    }
}

impl core::error::Error for Failure {}
