use giantvm_core::wire::MAX_BODY;
use proptest::prelude::*;

use super::*;
use crate::ioapic::Pin;

fn frame(message: IoMessage) -> Frame {
    message.encode(NodeId::ZERO, Epoch::FIRST)
}

fn lines() -> impl Strategy<Value = LineMessage> {
    let pin = || prop::sample::select(Pin::all().collect::<Vec<_>>());
    let level = |(destination, vector): (u8, u8)| Msi {
        address: 0xfee0_0000 | u64::from(destination) << 12,
        data: 0xc000 | u32::from(vector),
    };
    let msi = (any::<u8>(), LOWEST_VECTOR..).prop_map(level);
    prop_oneof![
        (pin(), any::<bool>()).prop_map(|(pin, asserted)| LineMessage::Level { pin, asserted }),
        pin().prop_map(LineMessage::Pulse),
        (LOWEST_VECTOR..).prop_map(|vector| LineMessage::End { vector }),
        (pin(), prop::option::of(msi)).prop_map(|(pin, msi)| LineMessage::Route { pin, msi }),
    ]
}

fn messages() -> impl Strategy<Value = IoMessage> {
    let sizes = prop::sample::select(vec![
        AccessSize::Byte,
        AccessSize::Word,
        AccessSize::Dword,
        AccessSize::Qword,
    ]);
    let access = (
        any::<bool>(),
        0..0xfff8_u64,
        sizes,
        prop::option::of(any::<u64>()),
    );
    let access = access.prop_map(|(port, address, size, value)| {
        let space = if port { Space::Port } else { Space::Memory };
        match value {
            Some(value) => Access::write(space, address, size, value),
            None => Access::read(space, address, size),
        }
    });
    let vcpu = (0..254_u8).prop_map(|number| VcpuId::new(number).unwrap());
    let errors = vec![
        DeviceError::Unsupported,
        DeviceError::Backend,
        DeviceError::Broken,
    ];
    let result = prop_oneof![
        any::<u64>().prop_map(Ok),
        prop::sample::select(errors).prop_map(Err)
    ];
    prop_oneof![
        (any::<u64>(), vcpu.clone(), access).prop_map(|(token, vcpu, access)| {
            // Few are posted by chance, and no read can be.
            let posted = access.is_write() && token % 4 == 0;
            let token = (!posted).then_some(Token(token | 1));
            IoMessage::Request(IoRequest {
                token,
                vcpu,
                access,
            })
        }),
        (any::<u64>(), result).prop_map(|(token, result)| {
            let token = Token(token);
            IoMessage::Reply(IoReply { token, result })
        }),
        (any::<u64>(), any::<u32>()).prop_map(|(address, data)| {
            IoMessage::Interrupt(DeviceInterrupt::Msi(Msi { address, data }))
        }),
        (vcpu, LOWEST_VECTOR..=u8::MAX).prop_map(|(vcpu, vector)| IoMessage::Interrupt(
            DeviceInterrupt::Vector { vcpu, vector }
        )),
        lines().prop_map(IoMessage::Line),
    ]
}

proptest! {
    #[test]
    fn messages_survive_the_wire(message in messages()) {
        prop_assert_eq!(IoMessage::decode(&frame(message)), Ok(message));
    }

    #[test]
    fn whatever_decodes_is_the_only_encoding_of_its_message(
        kind in 0..12_u8,
        body in prop::collection::vec(any::<u8>(), 0..=MAX_BODY),
        zeroes in any::<prop::sample::Index>(),
    ) {
        let mut body = body;
        let from = zeroes.index(body.len() + 1);
        body[from..].fill(0);
        let frame = Frame::control(Service::Io, kind, NodeId::ZERO, Epoch::FIRST, &body).unwrap();
        if let Ok(message) = IoMessage::decode(&frame) {
            prop_assert_eq!(message.encode(NodeId::ZERO, Epoch::FIRST), frame);
        }
    }
}

#[test]
fn each_bad_field_has_its_error() {
    let request = IoRequest {
        token: Some(Token(1)),
        vcpu: VcpuId::BOOT,
        access: Access::write(Space::Port, 0x3f8, AccessSize::Byte, 0x41),
    };
    let with = |at: usize, value: u8| {
        let mut frame = frame(IoMessage::Request(request));
        let mut body = frame.body.as_slice().to_vec();
        body[at] = value;
        frame.body = Body::new(&body).unwrap();
        IoMessage::decode(&frame).unwrap_err()
    };
    assert_eq!(with(10, 1), bad("address", 0x1_03f8));
    assert_eq!(with(17, 1), bad("value", 0x141));
    assert_eq!(with(24, 2), bad("space", 2));
    assert_eq!(with(25, 3), bad("size", 3));
    assert_eq!(with(26, 0), bad("value", 0x41));
    assert_eq!(with(26, 2), bad("write", 2));
    assert_eq!(with(27, 254), bad("vcpu", 254));
    let read = IoRequest {
        token: None,
        vcpu: VcpuId::BOOT,
        access: Access::read(Space::Port, 0x3f8, AccessSize::Byte),
    };
    let refused = IoMessage::decode(&frame(IoMessage::Request(read)));
    assert_eq!(refused, Err(bad("token", 0)), "a read has an answer");
}

#[test]
fn frames_of_another_shape_are_refused() {
    let refused = |service, kind, body: &[u8]| {
        let frame = Frame::control(service, kind, NodeId::ZERO, Epoch::FIRST, body).unwrap();
        IoMessage::decode(&frame).unwrap_err()
    };
    assert!(matches!(
        refused(Service::Io, 0, &[]),
        DecodeError::UnknownKind { .. }
    ));
    assert!(matches!(
        refused(Service::Dsm, 1, &[0; 28]),
        DecodeError::UnknownKind { .. }
    ));
    assert!(matches!(
        refused(Service::Io, 1, &[0; 27]),
        DecodeError::BodyLength { .. }
    ));
    let mut long = frame(IoMessage::Reply(IoReply {
        token: Token(0),
        result: Ok(0),
    }));
    long.payload = vec![0].into();
    let error = IoMessage::decode(&long).unwrap_err();
    assert!(matches!(error, DecodeError::PayloadLength { got: 1, .. }));
}
