//! A thread vCPU that has no thread, as the bytes of [`Section::Program`].
//!
//! What it waits for, the interrupts that wait for it, and how its program starts. All integers are
//! little-endian.

use super::cell::{Rest, Still};
use super::cpu::Start;
use crate::error::VcpuError;
use crate::pending::Pending;
use crate::state::{ArchState, Section};

const INIT: u8 = 0;
const SIPI: u8 = 1;
const OVER: u8 = 2;
const ENTRY: u8 = 3;
const STARTED: u8 = 4;
const RESET: u8 = 5;
const MOVED: u8 = 6;

/// The state of a vCPU.
pub(super) fn of(still: &Still<Start>) -> ArchState {
    let (vectors, nmi) = still.pending.parts();
    let mut bytes: Vec<u8> = vectors.into_iter().flat_map(u64::to_le_bytes).collect();
    bytes.push(nmi.into());
    match &still.phase {
        Rest::Init => bytes.push(INIT),
        Rest::Sipi => bytes.push(SIPI),
        Rest::Over => bytes.push(OVER),
        Rest::Run(Start::Entry { rip, rsp, rdi, rsi }) => {
            bytes.push(ENTRY);
            bytes.extend(
                [rip, rsp, rdi, rsi]
                    .into_iter()
                    .flat_map(|word| word.to_le_bytes()),
            );
        }
        Rest::Run(Start::Sipi(vector)) => bytes.extend([STARTED, *vector]),
        Rest::Run(Start::Reset) => bytes.push(RESET),
        Rest::Run(Start::Moved(saved)) => {
            bytes.push(MOVED);
            bytes.extend(saved);
        }
    }
    let mut state = ArchState::new();
    state.set_section(Section::Program, bytes);
    state
}

/// The vCPU of a state.
pub(super) fn read(state: &ArchState) -> Result<Still<Start>, VcpuError> {
    let section = state.section(Section::Program);
    let still = section.and_then(still);
    still.ok_or_else(|| VcpuError::BadState("Program: not of a thread vCPU".into()))
}

fn still(bytes: &[u8]) -> Option<Still<Start>> {
    let (vectors, bytes) = words::<4>(bytes)?;
    let (&nmi, bytes) = bytes.split_first()?;
    let nmi = match nmi {
        0 => false,
        1 => true,
        _ => return None,
    };
    let (&phase, rest) = bytes.split_first()?;
    let phase = match (phase, rest) {
        (INIT, []) => Rest::Init,
        (SIPI, []) => Rest::Sipi,
        (OVER, []) => Rest::Over,
        (ENTRY, rest) => {
            let ([rip, rsp, rdi, rsi], []) = words::<4>(rest)? else {
                return None;
            };
            Rest::Run(Start::Entry { rip, rsp, rdi, rsi })
        }
        (STARTED, &[vector]) => Rest::Run(Start::Sipi(vector)),
        (RESET, []) => Rest::Run(Start::Reset),
        (MOVED, saved) => Rest::Run(Start::Moved(saved.to_vec())),
        _ => return None,
    };
    let pending = Pending::of_parts(vectors, nmi);
    Some(Still { phase, pending })
}

fn words<const N: usize>(mut bytes: &[u8]) -> Option<([u64; N], &[u8])> {
    let mut words = [0; N];
    for word in &mut words {
        let (next, rest) = bytes.split_first_chunk()?;
        (*word, bytes) = (u64::from_le_bytes(*next), rest);
    }
    Some((words, bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn phase() -> impl Strategy<Value = Rest<Start>> {
        prop_oneof![
            Just(Rest::Init),
            Just(Rest::Sipi),
            Just(Rest::Over),
            any::<[u64; 4]>().prop_map(|[rip, rsp, rdi, rsi]| {
                Rest::Run(Start::Entry { rip, rsp, rdi, rsi })
            }),
            any::<u8>().prop_map(|vector| Rest::Run(Start::Sipi(vector))),
            Just(Rest::Run(Start::Reset)),
            prop::collection::vec(any::<u8>(), 0..40)
                .prop_map(|saved| Rest::Run(Start::Moved(saved))),
        ]
    }

    proptest! {
        #[test]
        fn a_vcpu_survives_its_bytes(phase in phase(), vectors: [u64; 4], nmi: bool) {
            let pending = Pending::of_parts(vectors, nmi);
            let still = Still { phase, pending };
            prop_assert_eq!(read(&of(&still)).unwrap(), still);
        }

        #[test]
        fn other_bytes_are_refused_and_none_is_read_as_two_things(
            bytes in prop::collection::vec(0..8_u8, 0..70),
        ) {
            let mut state = ArchState::new();
            state.set_section(Section::Program, bytes);
            if let Ok(still) = read(&state) {
                prop_assert_eq!(of(&still), state);
            }
        }
    }

    #[test]
    fn a_state_of_another_kind_of_host_is_refused() {
        assert!(matches!(
            read(&ArchState::new()),
            Err(VcpuError::BadState(_))
        ));
    }
}
