//! A node made by hand from plain sockets, which can then say anything.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::BytesMut;
use giantvm_core::wire::{Body, Class, Frame, Service};
use giantvm_core::{NodeId, Stamp};
use giantvm_transport::handshake::{HANDSHAKE_LIMITS, Handshake, LocalNode, Step};
use giantvm_transport::tcp::TcpConnector;
use giantvm_transport::testing::{EPOCH, Net, loopback_configs};
use giantvm_transport::{JoinConfig, join_blocking};

/// The wire number of the message that a node has all its links.
const READY: u8 = 5;

/// A connection that reads and writes frames.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    buffer: BytesMut,
}

impl Wire {
    pub(crate) fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        Self {
            stream,
            buffer: BytesMut::new(),
        }
    }

    pub(crate) fn send(&mut self, frame: &Frame) {
        let mut bytes = BytesMut::new();
        frame.encode(&mut bytes);
        self.stream.write_all(&bytes).unwrap();
    }

    /// The next frame; `None` at the end.
    pub(crate) fn receive(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = Frame::decode(&mut self.buffer, HANDSHAKE_LIMITS).unwrap() {
                return Some(frame);
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk).unwrap() {
                0 => return None,
                count => self.buffer.extend_from_slice(&chunk[..count]),
            }
        }
    }
}

/// How a node introduces itself that was configured with `config`.
pub(crate) fn introduce(config: &JoinConfig) -> LocalNode {
    LocalNode {
        host: 0,
        cluster: config.cluster.clone(),
        node: config.local,
        names: config.nodes.iter().map(|node| node.name.clone()).collect(),
        instance: 77,
        epoch: config.epoch,
        limits: config.limits,
        settings: config.canonical(),
    }
}

/// Dials `peer` and runs the handshake of one class to its end.
pub(crate) fn greet(local: LocalNode, peer: NodeId, address: &str, class: Class) -> Wire {
    let (mut wire, mut out) = (Wire::connect(address), Vec::new());
    let mut handshake = Handshake::dial(Arc::new(local), peer, class, &mut out);
    loop {
        out.drain(..).for_each(|frame| wire.send(&frame));
        let frame = wire.receive().expect("the peer answers");
        let step = handshake
            .on_frame(&frame, &mut |_| false, &mut out)
            .unwrap();
        if let Step::Established(_) = step {
            return wire;
        }
    }
}

/// A frame of the transport's own service.
pub(crate) fn link_frame(from: NodeId, kind: u8) -> Frame {
    Frame {
        service: Service::Link,
        kind,
        from,
        epoch: EPOCH,
        stamp: Stamp::ZERO,
        body: Body::new(&[]).unwrap(),
        payload: bytes::Bytes::new(),
    }
}

/// Two real nodes, 0 and 1, and the connections of a hand-made node 2 to each of them, by class.
pub(crate) fn cluster_with_raw_peer() -> (Net, [Vec<Wire>; 2]) {
    let mut configs = loopback_configs(3, std::net::Ipv4Addr::LOCALHOST.into()).unwrap();
    let (raw, _) = configs.pop().unwrap();
    let join = |(config, listener)| {
        let connector = TcpConnector::with_listener(config, listener);
        thread::spawn(move || join_blocking(&connector, &|_| ()).unwrap())
    };
    let threads: Vec<_> = configs.into_iter().map(join).collect();
    let dial = |peer: u8| {
        let node = NodeId::new(peer).unwrap();
        let address = &raw.nodes[node.index()].address;
        let wires = Class::ALL.map(|class| greet(introduce(&raw), node, address, class));
        Vec::from(wires)
    };
    let mut wires = [dial(0), dial(1)];
    for wires in &mut wires {
        wires[0].send(&link_frame(raw.local, READY));
    }
    for wires in &mut wires {
        assert_eq!(wires[0].receive().unwrap().kind, READY);
    }
    let nodes = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect();
    (Net::new(nodes), wires)
}
