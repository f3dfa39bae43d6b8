//! What desks and the conductor write to one another: frames of the machine's service.
//!
//! | kind | body | payload |
//! |---|---|---|
//! | [`REPORT`] | vCPU u16, offset of the read u16, processor time of the vCPU's thread since the last one in ns u64 | none |
//! | [`GO`] | vCPU u16, zero u16, value to read u64 | none |
//! | [`FAULTS`] | empty | entries of 32 bytes: thread u32, home u8, three zeroes, group u64, loads u32, stores u32, stall in ns u64 |

use bytes::Bytes;
use giantvm_core::wire::{Body, Frame};
use giantvm_core::{NodeId, VcpuId};
use giantvm_io::machine::FIRST_FREE_KIND;
use giantvm_sched::schedule::{Faults, Nanos, PageGroup, ThreadId};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A vCPU says something.
pub(crate) const REPORT: u8 = FIRST_FREE_KIND + 16;
/// A vCPU is told something.
pub(crate) const GO: u8 = FIRST_FREE_KIND + 17;
/// What threads of a node waited for.
pub(crate) const FAULTS: u8 = FIRST_FREE_KIND + 18;

/// Most entries of one letter.
pub(super) const MOST: usize = 256;

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct ReportBody {
    vcpu: U16,
    offset: U16,
    cpu: U64,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct GoBody {
    vcpu: U16,
    zero: U16,
    value: U64,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Entry {
    thread: U32,
    home: u8,
    zero: [u8; 3],
    group: U64,
    reads: U32,
    writes: U32,
    stall: U64,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Letter {
    /// To the conductor: the offset at which a vCPU read, and the processor time that it used since it was last told
    /// something.
    Report {
        vcpu: VcpuId,
        offset: u16,
        cpu: Nanos,
    },
    /// To a desk: the value that a vCPU reads.
    Go { vcpu: VcpuId, value: u64 },
    /// To the conductor: at most [`MOST`] of them.
    Faults(Vec<Faults>),
}

/// A frame that is no letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("message kind {0} about threads cannot be read")]
pub(crate) struct LetterError(u8);

impl Letter {
    /// Its kind, body and payload.
    pub(crate) fn write(&self) -> (u8, Body, Bytes) {
        match self {
            Self::Report { vcpu, offset, cpu } => {
                let body = ReportBody {
                    vcpu: number(*vcpu),
                    offset: U16::new(*offset),
                    cpu: U64::new(cpu.0),
                };
                (REPORT, Body::of(&body), Bytes::new())
            }
            Self::Go { vcpu, value } => {
                let (vcpu, zero, value) = (number(*vcpu), U16::ZERO, U64::new(*value));
                (GO, Body::of(&GoBody { vcpu, zero, value }), Bytes::new())
            }
            Self::Faults(all) => {
                let entries: Vec<_> = all.iter().take(MOST).map(Entry::of).collect();
                let bytes = entries.as_bytes().to_vec();
                (FAULTS, Body::EMPTY, bytes.into())
            }
        }
    }

    /// The letter of a frame of one of these kinds.
    ///
    /// # Errors
    /// [`LetterError`].
    pub(crate) fn read(frame: &Frame) -> Result<Self, LetterError> {
        Self::read_parts(frame.kind, frame.body.as_slice(), &frame.payload)
            .ok_or(LetterError(frame.kind))
    }

    fn read_parts(kind: u8, body: &[u8], payload: &[u8]) -> Option<Self> {
        match kind {
            REPORT if payload.is_empty() => {
                let body = ReportBody::read_from_bytes(body).ok()?;
                Some(Self::Report {
                    vcpu: vcpu(body.vcpu)?,
                    offset: body.offset.get(),
                    cpu: Nanos(body.cpu.get()),
                })
            }
            GO if payload.is_empty() => {
                let body = GoBody::read_from_bytes(body).ok()?;
                let value = body.value.get();
                let vcpu = vcpu(body.vcpu).filter(|_| body.zero.get() == 0)?;
                Some(Self::Go { vcpu, value })
            }
            FAULTS if body.is_empty() => {
                let entries = <[Entry]>::ref_from_bytes(payload).ok()?;
                let fits = entries.len() <= MOST;
                let all = entries.iter().map(Entry::faults).collect::<Option<_>>();
                all.filter(|_| fits).map(Self::Faults)
            }
            _ => None,
        }
    }
}

impl Entry {
    fn of(faults: &Faults) -> Self {
        Self {
            thread: faults.thread.0.into(),
            home: faults.home.get(),
            zero: [0; 3],
            group: faults.group.0.into(),
            reads: faults.reads.into(),
            writes: faults.writes.into(),
            stall: faults.stall.0.into(),
        }
    }

    fn faults(&self) -> Option<Faults> {
        Some(Faults {
            thread: ThreadId(self.thread.get()),
            home: NodeId::new(self.home)
                .ok()
                .filter(|_| self.zero == [0; 3])?,
            group: PageGroup(self.group.get()),
            reads: self.reads.get(),
            writes: self.writes.get(),
            stall: Nanos(self.stall.get()),
        })
    }
}

fn number(vcpu: VcpuId) -> U16 {
    U16::new(vcpu.get().into())
}

fn vcpu(number: U16) -> Option<VcpuId> {
    VcpuId::try_from(usize::from(number.get())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(thread: u32) -> Faults {
        Faults {
            thread: ThreadId(thread),
            group: PageGroup(u64::MAX),
            reads: 1,
            writes: u32::MAX,
            stall: Nanos(3),
            home: NodeId::ZERO,
        }
    }

    #[test]
    fn letters_are_read_as_they_were_written() {
        let vcpu = VcpuId::new(253).unwrap();
        let letters = [
            Letter::Report {
                vcpu,
                offset: 0x3ff8,
                cpu: Nanos(u64::MAX),
            },
            Letter::Go {
                vcpu,
                value: u64::MAX,
            },
            Letter::Faults((0..256).map(faults).collect()),
            Letter::Faults(Vec::new()),
        ];
        for letter in letters {
            let (kind, body, payload) = letter.write();
            assert_eq!(
                Letter::read_parts(kind, body.as_slice(), &payload),
                Some(letter)
            );
        }
    }

    #[test]
    fn what_is_no_letter_is_refused() {
        let (kind, body, payload) = Letter::Faults(vec![faults(1), faults(2)]).write();
        for len in 0..payload.len() {
            let read = Letter::read_parts(kind, body.as_slice(), &payload[..len]);
            assert_eq!(read.is_some(), len % 32 == 0, "{len} bytes");
        }
        let mut strange = payload.to_vec();
        strange[5] = 1;
        assert_eq!(Letter::read_parts(FAULTS, &[], &strange), None);
        strange[5..].fill(0);
        strange[4] = 64;
        assert_eq!(
            Letter::read_parts(FAULTS, &[], &strange),
            None,
            "there is no such node"
        );
        assert_eq!(Letter::read_parts(FAULTS, &[], &vec![0; 32 * 257]), None);
        for (kind, len) in [(REPORT, 11), (REPORT, 13), (GO, 11), (GO, 13), (GO + 2, 4)] {
            assert_eq!(Letter::read_parts(kind, &vec![0; len], &[]), None);
        }
        assert_eq!(
            Letter::read_parts(REPORT, &[255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[]),
            None,
            "vCPU 255"
        );
        assert_eq!(
            Letter::read_parts(GO, &[0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[]),
            None
        );
        assert_eq!(Letter::read_parts(REPORT, &[0; 12], &[0]), None);
    }
}
