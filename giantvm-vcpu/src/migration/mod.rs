//! Where each vCPU lives while vCPUs move between nodes of a running machine.
//!
//! Every node has one [`Residence`], a state machine without I/O, clock or threads. It says what to do
//! ([`Command`]) about what happens ([`Input`]). A [`Mover`] does it: stops vCPUs, takes and loads their
//! states by [`Vcpu::leave`](crate::Vcpu::leave) and [`VcpuHost::adopt`](crate::VcpuHost::adopt), and
//! hands [`Message`]s to the program's [`Carrier`]. Links between two nodes keep order; nothing else is
//! ordered.
//!
//! # Places and epochs
//! A vCPU is at one [`Place`]: a node, and an *epoch* that counts its moves. Every node knows one
//! place of each vCPU, perhaps an old one. Of two places the one with the higher epoch is newer, and
//! no two places of a vCPU have the same epoch.
//!
//! # One move
//! ```text
//!        source S, epoch e                       destination D                 every other node
//!  Move  freeze: kick, take the state
//!        keep what comes for the vCPU
//!        Arrive{e+1, state} ───────────────────▶ load the state
//!                            ◀─────────── Loaded{e+1}
//!        commit: the vCPU is at D
//!        Commit{e+1}, then what was kept ──────▶ run
//!        send on what still comes                At{e+1} ────────────────────▶ the vCPU is at D
//! ```
//! The vCPU stands still from the freeze until *Commit* arrives: for three messages one after the
//! other, which is less than two round trips, and what freezing and loading take.
//!
//! # States of a vCPU at a node
//! | state | the vCPU | an interrupt for it |
//! |---|---|---|
//! | here | runs | goes to its APIC |
//! | freezing | is being stopped | goes to its APIC, or is kept if that has left already |
//! | leaving | is here as a state that was sent | is kept |
//! | returning | is being loaded again, as the move failed | is kept |
//! | arriving | is being loaded | goes to the source |
//! | loaded | waits for the commit | goes to the source, but for what the APIC here took |
//! | elsewhere | is at another place, as far as is known | goes there |
//!
//! # What holds
//! 1. *One place.* At any time at most one node may run a vCPU. A destination runs it only after
//!    *Commit*, and the source has given it up before it sends that.
//! 2. *No interrupt is lost, none is doubled.* One that the APIC took before the freeze travels in the
//!    state. One that comes later is kept until the commit, and sent behind it. After that it is sent
//!    on. What the destination's own APIC took for the vCPU, whose proxy it was, stays there. Two of one
//!    vector that wait together count as one, as in every APIC.
//! 3. *Interrupts end their way.* One is addressed to a place. Whoever has it and not the vCPU sends it
//!    to a place with a higher epoch. So it is sent on at most as often as the vCPU moves meanwhile.
//!    And it never overtakes what it needs: a node that is named as a place has heard of the commit,
//!    because the source sent that first and all others know it from that node. An interrupt with a
//!    newer epoch than its receiver knows is a peer's error ([`Violation`]).
//! 4. *A failed move changes nothing.* If the destination refuses, or is lost before the source
//!    committed, the vCPU runs on at the source with all that was kept. A source or destination that is
//!    lost later is lost with its vCPU, as any node.
//! 5. *Bounds.* What is kept is one bit a vector, and INIT, SIPI and NMI. A vCPU has one move at a time;
//!    a second is refused until the first ended. Different vCPUs move independently. Nothing here waits:
//!    a destination that never answers is for the transport to notice.
//!
//! What is *not* kept is the order of two interrupts that go different ways, one straight and one by an
//! old place. For all but INIT and SIPI it means nothing. A vCPU that is started for the first time within
//! the round trip in which it moves may miss its SIPI; operating systems send it twice.
//!
//! Checked in all reachable states of small machines, and on random ways through larger ones, by
//! `tests/migration`.
//!
//! # Example
//! ```
//! use giantvm_core::{NodeId, NodeSet, VcpuId};
//! use giantvm_vcpu::migration::{Command, Input, Message, Residence};
//! use giantvm_vcpu::{ArchState, Layout};
//!
//! let (here, there) = (NodeId::ZERO, NodeId::new(1)?);
//! let layout = Layout::new(here, vec![here])?;
//! let mut residence = Residence::new(&layout, NodeSet::EMPTY.with(there));
//! let vcpu = VcpuId::BOOT;
//! let commands = residence.handle(Input::Move { vcpu, to: there })?;
//! assert!(matches!(commands[..], [Command::Freeze { .. }]));
//! let state = Box::new(ArchState::new());
//! let commands = residence.handle(Input::Frozen { vcpu, state })?;
//! let [Command::Send { to, message: Message::Arrive { epoch, .. } }] = &commands[..] else {
//!     panic!("the state is sent");
//! };
//! assert_eq!((*to, epoch.0), (there, 1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod codec;
mod error;
mod kept;
pub(crate) mod message;
mod mover;
mod place;
mod residence;
mod seat;
mod step;

pub use codec::MAX_STATE;
pub use error::{MoveRefused, ResidenceError, Violation};
pub use message::Message;
pub use mover::{Carrier, Mover};
pub use place::{MoveEpoch, Place};
pub use residence::Residence;
pub use step::{Command, Input, Outcome};
