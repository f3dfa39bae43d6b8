//! Replays the seeds of the fuzz target `io_message`, each of which is one raw frame.

use std::fs;
use std::path::Path;

use bytes::BytesMut;
use giantvm_core::wire::{Frame, Limits, Service};
use giantvm_core::{Epoch, NodeId, VcpuId};
use giantvm_io::ioapic::{LineMessage, Pin};
use giantvm_io::machine::{Cause, MachineMessage, Stop};
use giantvm_io::{Access, AccessSize, DeviceInterrupt, IoMessage, IoRequest, Msi, Space};

/// What a frame of either service says, encoded once more and sent at the same time.
fn re_encoded(frame: &Frame) -> Option<Frame> {
    let (from, epoch, stamp) = (frame.from, frame.epoch, frame.stamp);
    let encoded = match frame.service {
        Service::Machine => MachineMessage::decode(frame).ok()?.encode(from, epoch),
        _ => IoMessage::decode(frame).ok()?.encode(from, epoch),
    };
    Some(Frame { stamp, ..encoded })
}

#[test]
fn every_seed_is_a_message_or_an_error_as_its_name_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/io_message");
    let mut seeds = 0;
    for entry in fs::read_dir(&folder).expect("the seed corpus is part of the project") {
        let path = entry.unwrap().path();
        let mut stream = BytesMut::from(&fs::read(&path).unwrap()[..]);
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let frame = Frame::decode(&mut stream, Limits { max_payload: 4096 });
        let encoded = frame.iter().flatten().find_map(re_encoded);
        // What a fuzzer finds and adds has a hash for a name and promises nothing but to end.
        if name.starts_with("good") || name.starts_with("bad") {
            assert_eq!(
                encoded.is_some(),
                name.starts_with("good"),
                "{name}: {frame:?}"
            );
        }
        if let Some(encoded) = encoded {
            assert_eq!(frame, Ok(Some(encoded)), "{name}");
        }
        seeds += 1;
    }
    assert!(seeds >= 6, "only {seeds} seeds in {}", folder.display());
}

/// The layouts on the wire, byte for byte: a change of one is a change of the protocol.
#[test]
fn the_layouts_are_these() {
    let body = |frame: Frame| frame.body.as_slice().to_vec();
    let (from, epoch) = (NodeId::ZERO, Epoch::FIRST);
    let vcpu = VcpuId::new(2).unwrap();
    let access = Access::write(Space::Port, 0x3f8, AccessSize::Byte, 0x41);
    let mut forwarder = giantvm_io::Forwarder::new();
    let token = forwarder.request(vcpu, NodeId::ZERO, access).unwrap();
    let request = |token| IoRequest {
        token,
        vcpu,
        access,
    };
    let posted = body(IoMessage::Request(request(None)).encode(from, epoch));
    assert_eq!(posted[..8], [0; 8], "no token is zero");
    assert_eq!(
        body(IoMessage::Request(request(Some(token))).encode(from, epoch)),
        [
            2, 1, 0, 0, 0, 0, 0, 0, // token: vCPU 2, its first
            0xf8, 3, 0, 0, 0, 0, 0, 0, // address
            0x41, 0, 0, 0, 0, 0, 0, 0, // value
            0, 1, 1, 2, // port, one byte, write, vCPU 2
        ]
    );
    let msi = Msi {
        address: 0xfee0_1000,
        data: 0x41,
    };
    let interrupt = IoMessage::Interrupt(DeviceInterrupt::Msi(msi));
    assert_eq!(
        body(interrupt.encode(from, epoch)),
        [0, 0x10, 0xe0, 0xfe, 0, 0, 0, 0, 0x41, 0, 0, 0, 0, 0, 0]
    );
    let pin = Pin::new(9).unwrap();
    let line = |message| body(IoMessage::Line(message).encode(from, epoch));
    let asserted = true;
    assert_eq!(line(LineMessage::Level { pin, asserted }), [9, 1]);
    assert_eq!(line(LineMessage::Pulse(pin)), [9, 2]);
    assert_eq!(line(LineMessage::End { vector: 0x51 }), [0x51]);
    let data = 0xc041;
    let msi = Some(Msi { data, ..msi });
    assert_eq!(
        line(LineMessage::Route { pin, msi }),
        [0, 0x10, 0xe0, 0xfe, 0, 0, 0, 0, 0x41, 0xc0, 0, 0, 9, 1]
    );
    let stop = Stop::by_node(NodeId::new(3).unwrap(), Cause::Exit(7));
    let message = MachineMessage::Stop { run: 1, stop };
    assert_eq!(
        body(message.encode(from, epoch)),
        [1, 0, 0, 0, 7, 0, 0, 0, 0, 3, 0xff]
    );
}
