//! What device and driver say to one another of ports: section 5.3.6.2 of the standard.

use std::collections::VecDeque;

use super::Port;

/// The only port.
const PORT: u32 = 0;
/// Bytes of a message without a name: port u32, event u16, value u16.
const HEADER: usize = 8;
/// The longest message.
pub(super) const MAX_MESSAGE: usize = HEADER + Port::MAX_NAME;
/// Messages that wait for the driver to make room at most; a driver that asks on and hears nothing goes
/// without.
const MOST: usize = 16;

const DEVICE_READY: u16 = 0;
const PORT_ADD: u16 = 1;
const PORT_READY: u16 = 3;
const PORT_OPEN: u16 = 6;
const PORT_NAME: u16 = 7;

/// The device's side, without queues.
#[derive(Debug)]
pub(super) struct Control {
    name: Vec<u8>,
    waiting: VecDeque<Vec<u8>>,
    closed: bool,
}

impl Control {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.bytes().take(Port::MAX_NAME).collect(),
            waiting: VecDeque::new(),
            closed: false,
        }
    }

    /// Takes what the driver says; what means nothing is nothing.
    pub(super) fn heard(&mut self, message: &[u8]) {
        let Some(&[a, b, c, d, event, event2, value, value2]) = message.first_chunk() else {
            return;
        };
        let port = u32::from_le_bytes([a, b, c, d]);
        let yes = u16::from_le_bytes([value, value2]) == 1;
        match u16::from_le_bytes([event, event2]) {
            DEVICE_READY if yes => self.say(PORT_ADD, &[]),
            PORT_READY if yes && port == PORT => {
                let name = self.name.clone();
                self.say(PORT_NAME, &name);
                // Someone listens here from the beginning.
                self.say(PORT_OPEN, &[]);
            }
            PORT_OPEN if port == PORT => self.closed |= !yes,
            _ => {}
        }
    }

    /// Whether there is nothing to say.
    pub(super) fn is_silent(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The next message to the driver.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        self.waiting.pop_front()
    }

    /// Whether the port was closed in the guest since this was last asked.
    pub(super) const fn was_closed(&mut self) -> bool {
        std::mem::replace(&mut self.closed, false)
    }

    pub(super) fn reset(&mut self) {
        self.waiting.clear();
        self.closed = false;
    }

    fn say(&mut self, event: u16, name: &[u8]) {
        if self.waiting.len() < MOST {
            let (event, value) = (event.to_le_bytes(), 1_u16.to_le_bytes());
            let message = [&PORT.to_le_bytes()[..], &event, &value, name];
            self.waiting.push_back(message.concat());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(port: u32, event: u16, value: u16) -> Vec<u8> {
        let (event, value) = (event.to_le_bytes(), value.to_le_bytes());
        [&port.to_le_bytes()[..], &event, &value].concat()
    }

    fn said(control: &mut Control) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| control.take()).collect()
    }

    #[test]
    fn a_driver_is_told_of_the_port_then_of_its_name_and_that_it_is_open() {
        let mut control = Control::new("abc");
        control.heard(&message(0, DEVICE_READY, 1));
        assert_eq!(said(&mut control), [message(0, PORT_ADD, 1)]);
        control.heard(&message(0, PORT_READY, 1));
        let name = [message(0, PORT_NAME, 1), b"abc".to_vec()].concat();
        assert_eq!(said(&mut control), [name, message(0, PORT_OPEN, 1)]);
        control.heard(&message(0, PORT_OPEN, 1));
        assert!(!control.was_closed());
        control.heard(&message(0, PORT_OPEN, 0));
        assert!(control.was_closed() && !control.was_closed());
    }

    #[test]
    fn what_means_nothing_is_answered_by_nothing_and_what_waits_is_bounded() {
        let mut control = Control::new(&"n".repeat(1000));
        let odd = [
            vec![],
            vec![0; 7],
            message(0, DEVICE_READY, 0),
            message(1, PORT_READY, 1),
            message(0, PORT_READY, 7),
            message(0, 99, 1),
        ];
        odd.iter().for_each(|message| control.heard(message));
        assert!(control.is_silent());
        for _ in 0..1000 {
            control.heard(&message(0, PORT_READY, 1));
        }
        let said = said(&mut control);
        assert_eq!(said.len(), MOST);
        assert!(said.iter().all(|message| message.len() <= MAX_MESSAGE));
    }
}
