#![expect(unsafe_code, reason = "a lock gives exclusive access to what it holds")]
//! A lock in shared memory.

use std::cell::UnsafeCell;
use std::fmt;
use std::ops::{Deref, DerefMut};

use zerocopy::FromBytes;

use super::primitives::AtomicU32;
use super::ticket;

/// A value that one thread of all nodes may use at a time; first come, first served.
///
/// The value lies beside the lock, so on one page with it if it is small: whoever gets the lock
/// has the value too.
///
/// A panic while the lock is held lets go of it. If the node that holds it dies, the program ends
/// on the other nodes too (see [the module](super)).
///
/// ```
/// use giantvm_dsm::sync::Lock;
///
/// let sum = Lock::new(40);
/// *sum.lock() += 2;
/// assert_eq!(*sum.lock(), 42);
/// ```
#[derive(Default, FromBytes)]
#[repr(C, align(8))]
pub struct Lock<T> {
    next: AtomicU32,
    serving: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached by one thread at a time, which is what `Send` allows. It crosses
// processes too: a `T` in shared memory is made of plain bytes (`FromBytes`), nothing of one
// process.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    /// A free lock around `value`.
    #[must_use]
    pub const fn new(value: T) -> Self {
        Self {
            next: AtomicU32::new(0),
            serving: AtomicU32::new(0),
            value: UnsafeCell::new(value),
        }
    }

    /// Waits for the lock.
    ///
    /// A thread that holds it already waits for ever.
    pub fn lock(&self) -> LockGuard<'_, T> {
        LockGuard {
            ticket: ticket::acquire(&self.next, &self.serving),
            lock: self,
        }
    }

    /// The lock, if it is free and no one waits for it.
    pub fn try_lock(&self) -> Option<LockGuard<'_, T>> {
        Some(LockGuard {
            ticket: ticket::try_acquire(&self.next, &self.serving)?,
            lock: self,
        })
    }
}

impl<T> fmt::Debug for Lock<T> {
    /// Not the value, which would have to be waited for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock")
            .field("next", &self.next)
            .field("serving", &self.serving)
            .finish_non_exhaustive()
    }
}

/// The right to use what a [`Lock`] holds, until dropped.
#[derive(Debug)]
#[must_use = "the lock is let go of at once"]
pub struct LockGuard<'a, T> {
    lock: &'a Lock<T>,
    ticket: u32,
}

// SAFETY: sharing a guard shares its `&T`.
unsafe impl<T: Sync> Sync for LockGuard<'_, T> {}

impl<T> Deref for LockGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this guard's ticket is being served, so no other guard exists.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for LockGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this guard's ticket is being served, so no other guard exists.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for LockGuard<'_, T> {
    fn drop(&mut self) {
        ticket::release(&self.lock.serving, self.ticket);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::sync::primitives::Ordering;

    #[test]
    fn no_increment_is_lost_between_threads() {
        let sum = Lock::new(0_u64);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| *sum.lock() += 1));
            }
        });
        assert_eq!(*sum.lock(), 4000);
    }

    #[test]
    fn a_held_lock_cannot_be_tried() {
        let lock = Lock::new(());
        let guard = lock.try_lock();
        assert!(guard.is_some() && lock.try_lock().is_none());
        drop(guard);
        assert!(lock.try_lock().is_some());
    }

    #[test]
    fn tickets_wrap_around() {
        let lock = Lock::new(0);
        lock.next.store(u32::MAX, Ordering::Relaxed);
        lock.serving.store(u32::MAX, Ordering::Relaxed);
        *lock.lock() += 1;
        *lock.lock() += 1;
        assert_eq!(*lock.lock(), 2);
    }
}
