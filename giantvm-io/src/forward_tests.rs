use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{DeviceError, Space};

const READ: Access = Access::read(Space::Port, 0x60, AccessSize::Byte);

fn node(number: u8) -> NodeId {
    NodeId::new(number).unwrap()
}

fn vcpu(number: u8) -> VcpuId {
    VcpuId::new(number).unwrap()
}

#[test]
fn a_vcpu_has_one_access_at_a_time() {
    let mut forwarder = Forwarder::new();
    let first = forwarder.request(vcpu(3), node(1), READ).unwrap();
    let busy = forwarder.request(vcpu(3), node(2), READ);
    assert_eq!(busy, Err(AccessError::Busy(vcpu(3))));
    assert!(forwarder.unsent(first) && !forwarder.unsent(first));
    assert!(forwarder.request(vcpu(3), node(2), READ).is_ok());
}

#[test]
fn replies_that_answer_nothing_are_violations_and_change_nothing() {
    let mut forwarder = Forwarder::new();
    let request = forwarder.request(vcpu(3), node(1), READ).unwrap();
    let reply = |token, value| IoReply {
        token,
        result: Ok(value),
    };
    for token in [0, 3, request.0 ^ 1, request.0 + 256, u64::MAX] {
        let answer = forwarder.reply(node(1), reply(Token(token), 0));
        let from = node(1);
        assert_eq!(answer, Err(Violation::UnknownToken { from, token }));
    }
    let foreign = Violation::Foreign {
        from: node(2),
        asked: node(1),
    };
    assert_eq!(forwarder.reply(node(2), reply(request, 0)), Err(foreign));
    let wide = forwarder.reply(node(1), reply(request, 0x100));
    assert!(matches!(
        wide,
        Err(Violation::BadValue { value: 0x100, .. })
    ));
    assert_eq!(forwarder.under_way(), 1);
    let error = DeviceError::Backend;
    let failed = IoReply {
        token: request,
        result: Err(error),
    };
    let completed = forwarder.reply(node(1), failed).unwrap().unwrap();
    let node = node(1);
    assert_eq!(completed.result, Err(AccessError::Remote { node, error }));
}

#[test]
fn the_answer_to_an_abandoned_access_is_taken_once_and_dropped() {
    let mut forwarder = Forwarder::new();
    let old = forwarder.request(vcpu(3), node(1), READ).unwrap();
    forwarder.abandon(old);
    let new = forwarder.request(vcpu(3), node(1), READ).unwrap();
    let reply = |token| IoReply {
        token,
        result: Ok(1),
    };
    assert!(forwarder.reply(node(2), reply(old)).is_err());
    assert_eq!(forwarder.reply(node(1), reply(old)), Ok(None));
    assert!(forwarder.reply(node(1), reply(old)).is_err());
    assert!(forwarder.reply(node(1), reply(new)).unwrap().is_some());
}

#[test]
fn answers_that_are_owed_have_a_limit() {
    let mut forwarder = Forwarder::new();
    for _ in 0..MAX_ABANDONED {
        let request = forwarder.request(vcpu(0), node(1), READ).unwrap();
        forwarder.abandon(request);
    }
    let last = forwarder.request(vcpu(0), node(1), READ).unwrap();
    forwarder.abandon(last);
    assert!(forwarder.request(vcpu(0), node(1), READ).is_err());
    assert_eq!(
        forwarder.lost(node(1)).len(),
        1,
        "the one that could not be given up"
    );
    assert!(forwarder.abandoned.is_empty());
}

proptest! {
    #[test]
    fn every_access_ends_exactly_once(steps in prop::collection::vec((0..5_u8, 0..4_u8, 0..3_u8), 0..200)) {
        let mut forwarder = Forwarder::new();
        // What is under way, by token: the vCPU and the node.
        let mut model: BTreeMap<Token, (VcpuId, NodeId)> = BTreeMap::new();
        for (step, v, n) in steps {
            let (v, n) = (vcpu(v), node(n));
            let mine = model.iter().find(|(_, entry)| entry.0 == v).map(|(&token, &(_, n))| (token, n));
            match (step, mine) {
                (0 | 1, None) => {
                    let request = forwarder.request(v, n, READ).unwrap();
                    prop_assert!(model.insert(request, (v, n)).is_none());
                }
                (0 | 1, Some(_)) => prop_assert!(forwarder.request(v, n, READ).is_err()),
                (2, Some((token, asked))) => {
                    let answer = forwarder.reply(n, IoReply { token, result: Ok(0) });
                    prop_assert_eq!(answer.is_ok(), n == asked);
                    if n == asked {
                        model.remove(&token);
                    }
                }
                (3, Some((token, _))) => {
                    forwarder.abandon(token);
                    model.remove(&token);
                }
                (4, _) => {
                    let ended = forwarder.lost(n);
                    let expected = model.iter().filter(|(_, entry)| entry.1 == n);
                    let expected: Vec<_> = expected.map(|(&token, &(v, _))| (v, token)).collect();
                    model.retain(|_, entry| entry.1 != n);
                    let mut ended: Vec<_> = ended.into_iter().map(|c| (c.vcpu, c.token)).collect();
                    ended.sort_by_key(|&(_, token)| token);
                    prop_assert_eq!(ended, expected);
                }
                _ => {}
            }
            prop_assert_eq!(forwarder.under_way(), model.len());
        }
    }
}
