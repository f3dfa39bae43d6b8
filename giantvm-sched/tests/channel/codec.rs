//! One message in bytes.

use giantvm_core::{NodeId, VcpuId};
use giantvm_sched::channel::{
    Advice, ChannelError, Features, HotGroup, Message, Report, Sharer, Snapshot, Subject,
    ThreadEvent, layout,
};
use giantvm_sched::schedule::{Machine, Nanos, PageGroup, ThreadId};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::values::{event, message};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_said_is_what_is_heard(message in message()) {
        let bytes = message.encode();
        prop_assert!(bytes.len() <= layout::MAX_MESSAGE);
        prop_assert_eq!(Message::decode(&bytes), Ok(message));
    }

    #[test]
    fn a_message_has_one_form(
        message in message(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = message.encode();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(other) = Message::decode(&bytes) {
            prop_assert_eq!(other.encode(), bytes);
        }
    }

    #[test]
    fn a_part_of_a_message_is_none(message in message(), cut in any::<prop::sample::Index>()) {
        let bytes = message.encode();
        prop_assert!(Message::decode(&bytes[..cut.index(bytes.len())]).is_err());
        let longer = [&bytes[..], &[0]].concat();
        prop_assert!(Message::decode(&longer).is_err());
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in vec(any::<u8>(), 0..600), kind in 0..5_u16) {
        let _ = Message::decode(&bytes);
        let mut framed = Message::Ask(0).encode();
        framed.truncate(layout::HEADER);
        framed.extend(bytes);
        framed[6..8].copy_from_slice(&kind.to_le_bytes());
        let length = u32::try_from(framed.len()).unwrap();
        framed[8..12].copy_from_slice(&length.to_le_bytes());
        if let Ok(message) = Message::decode(&framed) {
            prop_assert_eq!(message.encode(), framed);
        }
    }

    #[test]
    fn an_event_is_one_word(event in event()) {
        prop_assert_eq!(ThreadEvent::from_word(event.word()), Ok(event));
    }

    #[test]
    fn a_word_is_one_event_or_none(kind in 0..7_u8, vcpu: u8, zero in 0..2_u16, thread in 0..3_u32) {
        let word = layout::event_word(kind, vcpu, thread) | u64::from(zero) << 16;
        if let Ok(event) = ThreadEvent::from_word(word) {
            prop_assert_eq!(event.word(), word);
            prop_assert_eq!(zero, 0);
        }
    }
}

fn small() -> Snapshot {
    let mut snapshot = Snapshot::new(Machine::new(&[1, 1]).unwrap());
    let mut group = HotGroup::new(PageGroup(0x2a), NodeId::ZERO);
    for number in [0, 1] {
        group.add(Sharer {
            vcpu: VcpuId::new(number).unwrap(),
            reads: 1,
            writes: 2,
            stall: Nanos(3),
        });
    }
    assert!(snapshot.push_group(group));
    let mut advice = Advice::new(NodeId::ZERO, 1_000_000);
    assert!(advice.add(Subject::Vcpu(VcpuId::BOOT)));
    assert!(snapshot.push_advice(advice));
    snapshot
}

/// Where parts of the small snapshot are.
const BODY: usize = layout::HEADER;
const VCPUS: usize = BODY + layout::SNAPSHOT_FIXED;
const LINKS: usize = VCPUS + 2 * layout::VCPU;
const GROUPS: usize = LINKS + layout::LINK;
const SHARERS: usize = GROUPS + layout::GROUP;
const ADVICE: usize = SHARERS + 2 * layout::SHARER;

fn refused(at: usize, bytes: &[u8]) -> ChannelError {
    let mut message = Message::from(small()).encode();
    message[at..at + bytes.len()].copy_from_slice(bytes);
    Message::decode(&message).unwrap_err()
}

#[test]
fn fields_are_where_the_layout_says() {
    let bytes = Message::from(small()).encode();
    assert_eq!(bytes.len(), ADVICE + layout::ADVICE + layout::SUBJECT);
    assert_eq!(bytes[..4], *b"GVCH");
    assert_eq!(bytes[GROUPS], 0x2a);
    assert_eq!(bytes[SHARERS + layout::SHARER + 16], 1, "the second vCPU");
    assert_eq!(bytes[VCPUS + layout::VCPU + 24], 1, "its node");
    assert_eq!(bytes[LINKS..LINKS + 4], 20_000_u32.to_le_bytes());
    assert_eq!(bytes[ADVICE..ADVICE + 8], 1_000_000_u64.to_le_bytes());
}

#[test]
fn another_version_is_named() {
    assert_eq!(refused(4, &[2, 0]), ChannelError::Version(2));
    assert_eq!(refused(0, b"X"), ChannelError::Magic);
    assert_eq!(refused(6, &[9]), ChannelError::Kind(9));
}

#[test]
fn what_names_what_is_not_there_is_refused() {
    assert!(matches!(
        refused(VCPUS + 24, &[2]),
        ChannelError::Number("vCPU's node", 2)
    ));
    assert!(
        matches!(refused(GROUPS + 8, &[2]), ChannelError::Number(..)),
        "home"
    );
    assert!(
        matches!(refused(SHARERS + 40, &[2]), ChannelError::Number(..)),
        "sharer"
    );
    assert!(
        matches!(refused(SHARERS + 40, &[0]), ChannelError::Number(..)),
        "twice"
    );
    assert!(
        matches!(refused(ADVICE + 8, &[2]), ChannelError::Number(..)),
        "node"
    );
    assert!(
        matches!(refused(ADVICE + 20, &[2]), ChannelError::Number(..)),
        "subject"
    );
    assert!(matches!(
        refused(LINKS, &[0; 4]),
        ChannelError::Number("link's cost", 0)
    ));
    assert!(
        matches!(refused(BODY + 24, &[0x10]), ChannelError::Number(..)),
        "feature"
    );
    assert!(matches!(
        refused(BODY + 28, &[3]),
        ChannelError::Number("group size", 3)
    ));
}

#[test]
fn what_must_be_zero_is() {
    for at in [
        12,
        BODY + 31,
        BODY + 38,
        VCPUS + 25,
        GROUPS + 10,
        SHARERS + 17,
        ADVICE + 10,
    ] {
        assert_eq!(refused(at, &[1]), ChannelError::NotZero, "{at}");
    }
}

#[test]
fn more_than_the_limits_is_refused_before_it_is_read() {
    let many = |at, count: u16| refused(BODY + at, &count.to_le_bytes());
    assert_eq!(many(32, 255), ChannelError::Many("vCPUs", 255));
    assert_eq!(many(34, 129), ChannelError::Many("groups", 129));
    assert_eq!(many(36, 65), ChannelError::Many("pieces of advice", 65));
    assert_eq!(
        refused(GROUPS + 9, &[17]),
        ChannelError::Many("sharers of a group", 17)
    );
    assert_eq!(
        refused(ADVICE + 9, &[65]),
        ChannelError::Many("subjects of advice", 65)
    );
    assert!(matches!(
        refused(BODY + 30, &[65]),
        ChannelError::Many("nodes", 65)
    ));
}

#[test]
fn the_largest_snapshot_fits() {
    let mut vcpus = [4; 64];
    vcpus[0] = 2;
    let mut snapshot = Snapshot::new(Machine::new(&vcpus).unwrap());
    snapshot.features = Features::FAULTS.with(Features::ADVICE);
    for number in 0.. {
        let mut group = HotGroup::new(PageGroup(number), NodeId::ZERO);
        for vcpu in VcpuId::first(254) {
            group.add(Sharer {
                vcpu,
                reads: 1,
                writes: 1,
                stall: Nanos(vcpu.get().into()),
            });
        }
        assert_eq!(group.sharers().len(), layout::MAX_SHARERS);
        assert_eq!(
            group.sharers()[0].vcpu.get(),
            238,
            "who waited least is left out"
        );
        if !snapshot.push_group(group) {
            break;
        }
    }
    for gain in 0.. {
        let mut advice = Advice::new(NodeId::ZERO, gain);
        for thread in 0..=64 {
            assert_eq!(advice.add(Subject::Thread(ThreadId(thread))), thread < 64);
        }
        if !snapshot.push_advice(advice) {
            break;
        }
    }
    let counts = (snapshot.groups().len(), snapshot.advice().len());
    assert_eq!(counts, (layout::MAX_GROUPS, layout::MAX_ADVICE));
    let message = Message::from(snapshot);
    let bytes = message.encode();
    assert!(bytes.len() > 100_000 && bytes.len() <= layout::MAX_MESSAGE);
    assert_eq!(Message::decode(&bytes), Ok(message));
}

#[test]
fn a_report_counts_what_finds_no_room() {
    let mut report = Report::default();
    for number in 1..=300 {
        let event = ThreadEvent::Blocks {
            thread: ThreadId(number),
        };
        assert_eq!(report.push(event), number <= 256);
    }
    assert_eq!((report.events().len(), report.lost), (256, 44));
}
