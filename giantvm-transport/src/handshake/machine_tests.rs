use super::*;

fn node(index: u8) -> NodeId {
    NodeId::new(index).unwrap()
}

fn local(index: u8) -> LocalNode {
    LocalNode {
        host: 0,
        cluster: "lab".into(),
        node: node(index),
        names: vec!["a".into(), "b".into(), "c".into()],
        instance: index.into(),
        epoch: Epoch::FIRST,
        limits: Limits { max_payload: 65536 },
        settings: Settings::from_iter([("memory", "512M")]),
    }
}

type Verdict = Result<Step, HandshakeError>;

/// Runs a dialer against an acceptor until neither has anything to say; `taken` is the acceptor's.
fn run(dialer: LocalNode, acceptor: LocalNode, taken: bool) -> (Verdict, Verdict) {
    let mut to_acceptor = Vec::new();
    let mut d = Handshake::dial(Arc::new(dialer), node(0), Class::Bulk, &mut to_acceptor);
    let mut a = Handshake::accept(Arc::new(acceptor));
    let (mut d_verdict, mut a_verdict) = (Ok(Step::Pending), Ok(Step::Pending));
    let mut to_dialer = Vec::new();
    for _ in 0..4 {
        for frame in std::mem::take(&mut to_acceptor) {
            if a_verdict == Ok(Step::Pending) {
                a_verdict = a.on_frame(&frame, &mut |_| taken, &mut to_dialer);
            }
        }
        for frame in std::mem::take(&mut to_dialer) {
            if d_verdict == Ok(Step::Pending) {
                d_verdict = d.on_frame(&frame, &mut |_| false, &mut to_acceptor);
            }
        }
    }
    (d_verdict, a_verdict)
}

#[test]
fn two_right_nodes_establish_a_link() {
    let (dialer, acceptor) = run(local(1), local(0), false);
    assert!(matches!(dialer, Ok(Step::Established(hello)) if hello.node == node(0)));
    assert!(
        matches!(acceptor, Ok(Step::Established(hello)) if hello.node == node(1) && hello.class == Class::Bulk)
    );
}

#[test]
fn both_sides_name_the_setting_that_differs() {
    let other = LocalNode {
        settings: Settings::from_iter([("memory", "1G")]),
        ..local(1)
    };
    let (dialer, acceptor) = run(other, local(0), false);
    assert_eq!(
        dialer.unwrap_err().to_string(),
        "configuration differs: `memory` is `1G` here and `512M` on node a"
    );
    assert_eq!(
        acceptor.unwrap_err().to_string(),
        "configuration differs: `memory` is `512M` here and `1G` on node b"
    );
}

#[test]
fn another_cluster_is_refused_by_both() {
    let other = LocalNode {
        cluster: "prod".into(),
        ..local(1)
    };
    let (dialer, acceptor) = run(other, local(0), false);
    assert!(matches!(dialer, Err(HandshakeError::Cluster { there, .. }) if there == "lab"));
    assert!(matches!(acceptor, Err(HandshakeError::Cluster { there, .. }) if there == "prod"));
}

#[test]
fn a_second_process_of_the_same_node_is_told_so() {
    let (dialer, acceptor) = run(local(1), local(0), true);
    assert_eq!(dialer, Err(HandshakeError::Refused(Refusal::Duplicate)));
    assert!(matches!(acceptor, Err(HandshakeError::Duplicate(_))));
}

#[test]
fn the_wrong_node_at_an_address_is_found_by_the_dialer() {
    let (dialer, _) = run(local(1), local(2), false);
    assert!(matches!(dialer, Err(HandshakeError::Identity { got, .. }) if got == "node 2 `c`"));
}

#[test]
fn a_node_that_the_table_does_not_list_is_refused() {
    let mut stranger = local(1);
    stranger.names[1] = "mallory".into();
    let (dialer, acceptor) = run(stranger, local(0), false);
    assert!(matches!(acceptor, Err(HandshakeError::Identity { .. })));
    assert_eq!(dialer, Err(HandshakeError::Refused(Refusal::Identity)));
}

#[test]
fn every_kind_out_of_turn_ends_the_handshake_with_an_answer() {
    let right = local(1).hello(Class::Control).encode();
    for kind in (0..=255).filter(|&kind| kind != Kind::Hello as u8) {
        let mut out = Vec::new();
        let mut handshake = Handshake::accept(Arc::new(local(0)));
        let frame = Frame {
            kind,
            ..right.clone()
        };
        assert!(
            handshake
                .on_frame(&frame, &mut |_| false, &mut out)
                .is_err()
        );
        assert!(out.len() <= 1);
    }
}

#[test]
fn settings_that_do_not_differ_or_do_not_parse_are_an_error() {
    for payload in [local(0).settings.encode(), Bytes::from_static(&[9; 40])] {
        let mut out = Vec::new();
        let mut handshake = Handshake::accept(Arc::new(local(0)));
        let mut hello = local(1).hello(Class::Control);
        hello.digest ^= 1;
        let step = handshake.on_frame(&hello.encode(), &mut |_| false, &mut out);
        assert_eq!(step, Ok(Step::Pending));
        let frame = Frame {
            kind: Kind::Settings as u8,
            body: Body::of(&[0_u8; 0]),
            payload,
            ..hello.encode()
        };
        let verdict = handshake.on_frame(&frame, &mut |_| false, &mut out);
        assert!(matches!(verdict, Err(HandshakeError::Settings(_))));
    }
}
