//! What a guest tells of its threads.

use giantvm_core::VcpuId;

use super::ChannelError;
use super::layout::{
    EVENT_BLOCKS, EVENT_EXITS, EVENT_RUNS, EVENT_STARTS, EVENT_WAKES, MAX_EVENTS, NO_VCPU,
    event_word,
};
use crate::schedule::{Event, ThreadId};

/// Something that happened to a thread of the guest. Threads have numbers from 1 on.
///
/// ```
/// use giantvm_core::VcpuId;
/// use giantvm_sched::channel::ThreadEvent;
/// use giantvm_sched::schedule::ThreadId;
///
/// let event = ThreadEvent::Starts { thread: ThreadId(5), by: VcpuId::BOOT };
/// assert_eq!(ThreadEvent::from_word(event.word()), Ok(event));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThreadEvent {
    /// From now on a vCPU runs this thread, or none.
    Runs {
        /// Which vCPU.
        vcpu: VcpuId,
        /// What it runs.
        thread: Option<ThreadId>,
    },
    /// There is a new thread.
    Starts {
        /// The new one.
        thread: ThreadId,
        /// Where its maker runs.
        by: VcpuId,
    },
    /// A thread is ready again.
    Wakes {
        /// Which one.
        thread: ThreadId,
        /// Where who woke it runs; `None` for a timer or a device.
        by: Option<VcpuId>,
    },
    /// A thread waits for something that is no page.
    Blocks {
        /// Which one.
        thread: ThreadId,
    },
    /// A thread is done.
    Exits {
        /// Which one.
        thread: ThreadId,
    },
}

impl ThreadEvent {
    /// The event as one word.
    #[must_use]
    pub const fn word(self) -> u64 {
        match self {
            Self::Runs { vcpu, thread } => {
                let thread = match thread {
                    Some(thread) => thread.0,
                    None => 0,
                };
                event_word(EVENT_RUNS, vcpu.get(), thread)
            }
            Self::Starts { thread, by } => event_word(EVENT_STARTS, by.get(), thread.0),
            Self::Wakes { thread, by } => {
                let by = match by {
                    Some(by) => by.get(),
                    None => NO_VCPU,
                };
                event_word(EVENT_WAKES, by, thread.0)
            }
            Self::Blocks { thread } => event_word(EVENT_BLOCKS, NO_VCPU, thread.0),
            Self::Exits { thread } => event_word(EVENT_EXITS, NO_VCPU, thread.0),
        }
    }

    /// The event that a word stands for.
    ///
    /// # Errors
    /// [`ChannelError`] if it stands for none.
    pub fn from_word(word: u64) -> Result<Self, ChannelError> {
        let [kind, number, zero, zero2, thread @ ..] = word.to_le_bytes();
        if (zero, zero2) != (0, 0) {
            return Err(ChannelError::NotZero);
        }
        let number_of = u32::from_le_bytes(thread);
        let thread = || {
            let known = (number_of != 0).then_some(ThreadId(number_of));
            known.ok_or(ChannelError::Number("thread", 0))
        };
        let vcpu = || {
            VcpuId::new(number).map_err(|_| ChannelError::Number("vCPU of an event", number.into()))
        };
        let no_vcpu = || match number {
            NO_VCPU => Ok(()),
            other => Err(ChannelError::Number("vCPU of an event", other.into())),
        };
        Ok(match kind {
            EVENT_RUNS => Self::Runs {
                vcpu: vcpu()?,
                thread: thread().ok(),
            },
            EVENT_STARTS => Self::Starts {
                thread: thread()?,
                by: vcpu()?,
            },
            EVENT_WAKES => Self::Wakes {
                thread: thread()?,
                by: match number {
                    NO_VCPU => None,
                    _ => Some(vcpu()?),
                },
            },
            EVENT_BLOCKS => {
                no_vcpu()?;
                Self::Blocks { thread: thread()? }
            }
            EVENT_EXITS => {
                no_vcpu()?;
                Self::Exits { thread: thread()? }
            }
            other => return Err(ChannelError::Number("kind of event", other.into())),
        })
    }

    /// What a scheduler is told of it; `None` for what schedulers decide themselves.
    #[must_use]
    pub const fn event(self) -> Option<Event> {
        match self {
            Self::Runs { .. } => None,
            Self::Starts { thread, by } => Some(Event::Spawn { thread, by }),
            Self::Wakes { thread, by } => Some(Event::Wake { thread, by }),
            Self::Blocks { thread } => Some(Event::Block { thread }),
            Self::Exits { thread } => Some(Event::Exit { thread }),
        }
    }
}

/// Events of one guest in their order, at most [`MAX_EVENTS`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    events: Vec<ThreadEvent>,
    /// How many events came before these and are not in any report.
    pub lost: u32,
}

impl Report {
    /// The events.
    #[must_use]
    pub fn events(&self) -> &[ThreadEvent] {
        &self.events
    }

    /// Adds one; what finds no room counts as lost, and it is `false`.
    pub fn push(&mut self, event: ThreadEvent) -> bool {
        let fits = self.events.len() < MAX_EVENTS;
        if fits {
            self.events.push(event);
        } else {
            self.lost = self.lost.saturating_add(1);
        }
        fits
    }
}
