//! The mailbox of an in-process node: a queue, and the descriptor that tells about it.

#[path = "../../src/inproc/mailbox.rs"]
mod mailbox;

use giantvm_core::NodeSet;
use giantvm_core::wire::Class;
use loom::sync::Arc;
use loom::thread::{self, JoinHandle};

use self::mailbox::Mailbox;
use crate::{Event, Loss, SendError, frame, node};

/// The mailbox of node 0, which is linked to nodes 1 and 2.
fn mailbox() -> Arc<Mailbox> {
    let peers = NodeSet::first(3).without(node(0));
    Arc::new(Mailbox::new(peers).unwrap())
}

fn post(mailbox: &Mailbox, from: u8, kind: u8) -> Result<(), SendError> {
    mailbox.post(node(from), node(0), Class::Control, &frame(from, kind))
}

fn spawn<T: 'static>(
    mailbox: &Arc<Mailbox>,
    body: impl FnOnce(&Mailbox) -> T + 'static,
) -> JoinHandle<T> {
    let mailbox = Arc::clone(mailbox);
    thread::spawn(move || body(&mailbox))
}

/// What a pump takes, which waits whenever nothing is there, until `last`.
fn pump(mailbox: &Mailbox, last: impl Fn(&[Event]) -> bool) -> Vec<Event> {
    let mut taken = Vec::new();
    while !last(&taken) {
        mailbox.bell().wait();
        while let Some(event) = mailbox.take() {
            taken.push(event);
        }
    }
    taken
}

fn is_lost(event: &Event) -> bool {
    matches!(event, Event::Lost { .. })
}

#[test]
fn a_pump_about_to_wait_is_woken_for_every_frame() {
    loom::model(|| {
        let mailbox = mailbox();
        let one = spawn(&mailbox, |mailbox| post(mailbox, 1, 7));
        let two = spawn(&mailbox, |mailbox| post(mailbox, 2, 7));
        assert_eq!(pump(&mailbox, |taken| taken.len() == 2).len(), 2);
        assert_eq!(one.join().unwrap(), Ok(()));
        assert_eq!(two.join().unwrap(), Ok(()));
        // What is empty does not ring, or the pump would spin.
        assert!(!mailbox.bell().rings());
    });
}

#[test]
fn a_loss_comes_once_and_no_frame_after_it() {
    // At most three switches away from a thread that could go on: unbounded, this takes minutes.
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let mailbox = mailbox();
        let sender = spawn(&mailbox, |mailbox| {
            let sent = [7, 8].map(|kind| post(mailbox, 1, kind).is_ok());
            // The peer's own end of the link, as its closing makes it.
            mailbox.lose(node(1), Loss::Closed);
            sent
        });
        let severer = spawn(&mailbox, |mailbox| {
            mailbox.sever(node(1), Loss::Refused(String::new()));
        });
        let mut taken = pump(&mailbox, |taken| taken.iter().any(is_lost));
        let [first, second] = sender.join().unwrap();
        severer.join().unwrap();
        taken.extend(std::iter::from_fn(|| mailbox.take()));
        assert_eq!(taken.iter().filter(|event| is_lost(event)).count(), 1);
        assert!(taken.last().is_some_and(is_lost));
        assert!(first || !second, "a link that ended took a frame");
    });
}

#[test]
fn nothing_is_left_of_what_is_sent_while_the_receiver_closes() {
    loom::model(|| {
        let mailbox = mailbox();
        let sender = spawn(&mailbox, |mailbox| post(mailbox, 1, 7));
        let loser = spawn(&mailbox, |mailbox| mailbox.lose(node(2), Loss::Closed));
        mailbox.shut();
        let sent = sender.join().unwrap();
        loser.join().unwrap();
        assert!(sent == Ok(()) || sent == Err(SendError::Lost(node(0))));
        assert!(!mailbox.is_linked(node(1)) && mailbox.take().is_none());
        assert!(!mailbox.bell().rings());
        assert_eq!(post(&mailbox, 1, 8), Err(SendError::Lost(node(0))));
    });
}
