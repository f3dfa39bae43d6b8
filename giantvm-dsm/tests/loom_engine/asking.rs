//! What local threads ask the pump for, and its answers.

use std::time::Duration;

use giantvm_core::PageIndex;
use loom::sync::Arc;
use loom::thread;

use crate::PATIENCE;
use crate::orders::{Order, Orders, PinReply};
use crate::pin::Pin;

const PAGE: PageIndex = PageIndex(3);

fn push(orders: &Arc<Orders>, order: Order) -> thread::JoinHandle<()> {
    let orders = Arc::clone(orders);
    thread::spawn(move || assert!(orders.push(order)))
}

/// Takes `count` orders as the pump does, which waits for the bell when it finds none.
fn pump(orders: &Orders, count: usize) -> Vec<Order> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let busy = taken.len();
        taken.extend(std::iter::from_fn(|| orders.pop()));
        if taken.len() == busy {
            orders.bell().wait();
        }
    }
    taken
}

/// What `Dsm::pin` does.
fn ask(orders: &Arc<Orders>, patience: Duration) -> Option<Pin> {
    let reply = PinReply::new();
    assert!(orders.push(Order::Pin(PAGE, reply.clone())));
    reply
        .wait(patience)
        .then(|| Pin::new(PAGE, Arc::clone(orders)))
}

#[test]
fn an_order_that_comes_while_the_bell_is_hushed_is_not_slept_through() {
    loom::model(|| {
        let orders = Arc::new(Orders::new().unwrap());
        let pushers = [PageIndex(0), PageIndex(1)].map(|page| push(&orders, Order::Evict(page)));
        assert_eq!(pump(&orders, 2).len(), 2);
        for pusher in pushers {
            pusher.join().unwrap();
        }
        assert!(orders.pop().is_none(), "an order was taken twice");
    });
}

#[test]
fn orders_of_one_thread_keep_their_order() {
    loom::model(|| {
        let orders = Arc::new(Orders::new().unwrap());
        let other = Arc::clone(&orders);
        let thread = thread::spawn(move || {
            assert!(other.push(Order::Evict(PAGE)));
            assert!(other.push(Order::Unpin(PAGE)));
        });
        let taken = pump(&orders, 2);
        assert!(matches!(
            taken[..],
            [Order::Evict(PAGE), Order::Unpin(PAGE)]
        ));
        thread.join().unwrap();
    });
}

#[test]
fn a_pin_given_while_its_waiter_withdraws_is_taken_or_refused_and_never_both() {
    loom::model(|| {
        let reply = PinReply::new();
        let pump = {
            let reply = reply.clone();
            thread::spawn(move || reply.give())
        };
        let taken = reply.wait(Duration::ZERO);
        assert_eq!(pump.join().unwrap(), taken);
        assert!(!reply.is_awaited());
        assert!(!reply.give(), "a second answer");
    });
}

#[test]
fn a_pin_that_is_given_ends_the_wait_for_it_whenever_it_is_given() {
    loom::model(|| {
        let reply = PinReply::new();
        let waiter = {
            let reply = reply.clone();
            thread::spawn(move || reply.wait(PATIENCE))
        };
        assert!(reply.give());
        assert!(waiter.join().unwrap());
    });
}

#[test]
fn no_page_stays_pinned_whether_its_waiter_takes_the_pin_or_gives_up() {
    for patience in [Duration::ZERO, PATIENCE] {
        loom::model(move || {
            let orders = Arc::new(Orders::new().unwrap());
            let waiter = {
                let orders = Arc::clone(&orders);
                thread::spawn(move || drop(ask(&orders, patience)))
            };
            let Some(Order::Pin(PAGE, reply)) = pump(&orders, 1).pop() else {
                panic!("another order");
            };
            let pinned = usize::from(reply.give());
            // A pin that was taken is let go of when its waiter drops it; this waits for that.
            let ends = pump(&orders, pinned);
            assert!(ends.iter().all(|end| matches!(end, Order::Unpin(PAGE))));
            waiter.join().unwrap();
            assert!(orders.pop().is_none(), "let go of more often than pinned");
        });
    }
}
