//! What local threads ask the pump for: to give a page up, to hold one, to let it go; to leave and to
//! come back.

use std::collections::VecDeque;
use std::io;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use giantvm_core::PageIndex;

use super::primitives::{Arc, Bell, Condvar, Mutex, MutexGuard};

/// Most orders that wait for the pump. Orders to let a page go are taken beyond it: there are no
/// more of them than pins.
pub(super) const MAX_ORDERS: usize = 1024;

/// What a local thread asks for.
#[derive(Debug)]
pub(super) enum Order {
    /// Give the page up, if that can be.
    Evict(PageIndex),
    /// Hold the page, once it may be written here.
    Pin(PageIndex, PinReply),
    /// Let the page go.
    Unpin(PageIndex),
    /// Leave the shared memory, as the wish says that is kept elsewhere.
    Depart,
    /// Take part again.
    Return,
}

/// The queue between local threads and the pump.
#[derive(Debug)]
pub(super) struct Orders {
    queue: Mutex<Queue>,
    bell: Bell,
}

#[derive(Debug, Default)]
struct Queue {
    orders: VecDeque<Order>,
    /// Whether the bell rings: asking the bell itself costs a system call.
    rings: bool,
}

impl Orders {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            queue: Mutex::default(),
            bell: Bell::new()?,
        })
    }

    /// Hands an order to the pump; `false` if too many wait.
    #[must_use]
    pub(super) fn push(&self, order: Order) -> bool {
        let mut queue = self.queue();
        if queue.orders.len() >= MAX_ORDERS && !matches!(order, Order::Unpin(_)) {
            return false;
        }
        queue.orders.push_back(order);
        if !std::mem::replace(&mut queue.rings, true) {
            self.bell.ring();
        }
        true
    }

    /// The next order. The bell rings until there is none.
    pub(super) fn pop(&self) -> Option<Order> {
        let mut queue = self.queue();
        let order = queue.orders.pop_front();
        if order.is_none() && std::mem::take(&mut queue.rings) {
            // Under the lock: an order that comes later rings it again.
            self.bell.hush();
        }
        order
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rings while there are orders.
    pub(super) fn bell(&self) -> &Bell {
        &self.bell
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Awaited,
    Given,
    Withdrawn,
}

/// The one answer to an order to pin.
#[derive(Debug, Clone)]
pub(super) struct PinReply(Arc<(Mutex<Answer>, Condvar)>);

impl PinReply {
    pub(super) fn new() -> Self {
        Self(Arc::new((Mutex::new(Answer::Awaited), Condvar::new())))
    }

    /// Says that the page is pinned; `false` if no one waits for it any more.
    #[must_use]
    pub(super) fn give(&self) -> bool {
        let mut answer = self.answer();
        if *answer != Answer::Awaited {
            return false;
        }
        *answer = Answer::Given;
        self.0.1.notify_all();
        true
    }

    /// Whether someone still waits.
    pub(super) fn is_awaited(&self) -> bool {
        *self.answer() == Answer::Awaited
    }

    /// Waits for the answer. `false` if it did not come in time; it will not come any more then.
    pub(super) fn wait(&self, patience: Duration) -> bool {
        // None is a time that no clock reaches.
        let deadline = Instant::now().checked_add(patience);
        let mut answer = self.answer();
        while *answer == Answer::Awaited {
            let left = deadline.map_or(Duration::MAX, |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            if left.is_zero() {
                *answer = Answer::Withdrawn;
                break;
            }
            let waited = self.0.1.wait_timeout(answer, left);
            answer = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *answer == Answer::Given
    }

    fn answer(&self) -> MutexGuard<'_, Answer> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
