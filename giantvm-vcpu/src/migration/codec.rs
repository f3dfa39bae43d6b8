//! A vCPU's state as bytes.
//!
//! Sections in a fixed order, each with a tag, the length of its bytes, and the bytes as runs: a number of
//! zeroes, a number of other bytes, and those. Most of an XSAVE area and of an APIC's registers is zero.
//! All integers are little-endian.

use std::collections::VecDeque;

use crate::state::{ArchState, Section};

/// Most bytes of all sections of a state that moves. One with KVM's sections and 150 model-specific
/// registers has 9 KiB; as many registers as may be loaded take 16 KiB.
pub const MAX_STATE: usize = 32 << 10;

/// Fewer zeroes than this are as good as other bytes, since a run has four bytes of lengths. So the bytes
/// of a state are at most 48 KiB.
const WORTH_A_RUN: usize = 8;
/// Most zeroes, and most other bytes, of one run.
const LONGEST: usize = u16::MAX as usize;

const SECTIONS: [Section; 11] = [
    Section::General,
    Section::Special,
    Section::Extended,
    Section::ExtendedControl,
    Section::Debug,
    Section::LocalApic,
    Section::Msrs,
    Section::Events,
    Section::RunState,
    Section::Counter,
    Section::Program,
];

/// Whether a state is small enough to move.
pub(super) fn fits(state: &ArchState) -> bool {
    let total: usize = state.sections().map(|(_, bytes)| bytes.len()).sum();
    total <= MAX_STATE
}

/// The bytes of a state.
pub(super) fn encode(state: &ArchState) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (tag, section) in (0_u8..).zip(SECTIONS) {
        let Some(section) = state.section(section) else {
            continue;
        };
        bytes.push(tag);
        bytes.extend(
            u32::try_from(section.len())
                .unwrap_or(u32::MAX)
                .to_le_bytes(),
        );
        let mut rest = section;
        while !rest.is_empty() {
            rest = encode_run(&mut bytes, rest);
        }
    }
    bytes
}

/// Writes the zeroes that `rest` begins with and the other bytes up to the next, and gives what is left.
fn encode_run<'a>(bytes: &mut Vec<u8>, rest: &'a [u8]) -> &'a [u8] {
    let zeroes = rest
        .iter()
        .take(LONGEST)
        .take_while(|byte| **byte == 0)
        .count();
    let rest = &rest[zeroes..];
    let next = rest
        .windows(WORTH_A_RUN)
        .position(|run| run.iter().all(|byte| *byte == 0));
    let (others, rest) = rest.split_at(next.unwrap_or(rest.len()).min(LONGEST));
    for length in [zeroes, others.len()] {
        bytes.extend(u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes());
    }
    bytes.extend(others);
    rest
}

/// Reads a state. Total, and bounded by [`MAX_STATE`].
pub(super) fn decode(bytes: &[u8]) -> Option<ArchState> {
    let (mut state, mut left) = (ArchState::new(), MAX_STATE);
    let mut sections: VecDeque<_> = (0_u8..).zip(SECTIONS).collect();
    let mut rest = bytes;
    while let Some((tag, after)) = rest.split_first() {
        // In their order, each once.
        let section = loop {
            let (number, section) = sections.pop_front()?;
            if number == *tag {
                break section;
            }
        };
        let (len, after) = after.split_first_chunk()?;
        let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
        left = left.checked_sub(len)?;
        let mut content = Vec::with_capacity(len);
        rest = after;
        while content.len() < len {
            rest = decode_run(&mut content, len, rest)?;
        }
        state.set_section(section, content);
    }
    Some(state)
}

fn decode_run<'a>(content: &mut Vec<u8>, len: usize, rest: &'a [u8]) -> Option<&'a [u8]> {
    let (zeroes, rest) = rest.split_first_chunk()?;
    let (others, rest) = rest.split_first_chunk()?;
    let [zeroes, others] = [zeroes, others].map(|length| usize::from(u16::from_le_bytes(*length)));
    let runs = zeroes + others;
    // An empty run would not bring the end nearer.
    if runs == 0 || runs > len - content.len() {
        return None;
    }
    let (others, rest) = rest.split_at_checked(others)?;
    content.resize(content.len() + zeroes, 0);
    content.extend(others);
    Some(rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes as they are in states: runs of zeroes and of others.
    fn section() -> impl Strategy<Value = Vec<u8>> {
        let run = prop_oneof![
            (0..40_usize).prop_map(|len| vec![0; len]),
            prop::collection::vec(any::<u8>(), 0..40)
        ];
        prop::collection::vec(run, 0..8).prop_map(|runs| runs.concat())
    }

    proptest! {
        #[test]
        fn a_state_survives(sections in prop::collection::vec(prop::option::of(section()), 11)) {
            let mut state = ArchState::new();
            for (section, bytes) in SECTIONS.into_iter().zip(sections) {
                if let Some(bytes) = bytes {
                    state.set_section(section, bytes);
                }
            }
            prop_assert_eq!(decode(&encode(&state)), Some(state));
        }

        #[test]
        fn any_bytes_are_a_state_that_fits_or_none(
            bytes in prop::collection::vec(prop_oneof![Just(0), 0..12_u8, any::<u8>()], 0..200),
        ) {
            if let Some(state) = decode(&bytes) {
                prop_assert!(fits(&state));
            }
        }
    }

    #[test]
    fn zeroes_cost_next_to_nothing_and_alternation_at_most_half() {
        let mut state = ArchState::new();
        state.set_section(Section::Extended, vec![0; 4096]);
        assert!(encode(&state).len() < 16);
        let worst = [[1_u8].as_slice(), &[0; WORTH_A_RUN]]
            .concat()
            .repeat(MAX_STATE / 9);
        state.set_section(Section::Extended, worst);
        assert!(fits(&state) && encode(&state).len() <= MAX_STATE * 3 / 2);
    }

    #[test]
    fn a_section_comes_once_and_no_state_is_larger_than_the_limit() {
        let one = [2_u8, 1, 0, 0, 0, 1, 0, 0, 0];
        assert!(decode(&one).is_some());
        assert_eq!(decode(&[one, one].concat()), None, "twice");
        assert_eq!(decode(&one[..8]), None, "cut short");
        assert_eq!(decode(&[11, 0, 0, 0, 0]), None, "no such section");
        assert_eq!(
            decode(&[2, 1, 0, 0, 0, 0, 0, 0, 0]),
            None,
            "a run of nothing"
        );
        assert_eq!(decode(&[2, 1, 0, 0, 0, 2, 0, 0, 0]), None, "a run too long");
        let limit = u32::try_from(MAX_STATE).unwrap();
        let zeroes =
            |len: u32| [&[2][..], &len.to_le_bytes(), &[255, 127, 0, 0, 1, 0, 0, 0]].concat();
        assert!(decode(&zeroes(limit)).is_some());
        assert_eq!(decode(&zeroes(limit + 1)), None);
    }
}
