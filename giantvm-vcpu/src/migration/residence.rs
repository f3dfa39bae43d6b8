//! The state machine.

use giantvm_core::{NodeId, NodeSet, VcpuId};

use super::codec;
use super::error::{MoveRefused, ResidenceError, Violation};
use super::kept::Kept;
use super::message::Message;
use super::place::{MoveEpoch, Place};
use super::seat::Seat;
use super::step::{Command, Input, Outcome};
use crate::interrupt::Interrupt;
use crate::layout::Layout;
use crate::state::ArchState;

/// One node's knowledge of where every vCPU is, and its part in their moves.
///
/// The [module](super) has the rules and an example.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Residence {
    local: NodeId,
    /// All other nodes that are not lost.
    peers: NodeSet,
    /// By vCPU number.
    seats: Vec<Seat>,
}

type Steps = Result<Vec<Command>, ResidenceError>;

impl Residence {
    /// The knowledge of a node when the machine starts: that of its layout.
    #[must_use]
    pub fn new(layout: &Layout, peers: NodeSet) -> Self {
        let (local, epoch) = (layout.node(), MoveEpoch::FIRST);
        let seat = |vcpu| match layout.node_of(vcpu) {
            Some(node) if node != local => Seat::Elsewhere(Place { node, epoch }),
            _ => Seat::Here { epoch },
        };
        Self {
            local,
            peers,
            seats: layout.all().map(seat).collect(),
        }
    }

    /// Where a vCPU is, as far as this node knows; `None` if there is no such vCPU.
    #[must_use]
    pub fn place(&self, vcpu: VcpuId) -> Option<Place> {
        let seat = self.seats.get(vcpu.index())?;
        Some(seat.place(self.local))
    }

    /// Whether this node has the vCPU, or a part in a move of it.
    #[must_use]
    pub fn concerns(&self, vcpu: VcpuId) -> bool {
        let seat = self.seats.get(vcpu.index());
        seat.is_some_and(|seat| !matches!(seat, Seat::Elsewhere(_)))
    }

    /// Takes up what happened and says what is to be done about it.
    ///
    /// # Errors
    /// [`ResidenceError`]; nothing changed, and there is nothing to do.
    pub fn handle(&mut self, input: Input) -> Steps {
        match input {
            Input::Move { vcpu, to } => Ok(self.begin(vcpu, to)?),
            Input::Frozen { vcpu, state } => self.frozen(vcpu, state),
            Input::NotFrozen { vcpu } => self.not_frozen(vcpu),
            Input::Loaded { vcpu } => self.loaded(vcpu),
            Input::NotLoaded { vcpu } => self.not_loaded(vcpu),
            Input::Interrupt { vcpu, interrupt } => self.interrupted(vcpu, interrupt),
            Input::Message { from, message } => Ok(self.message(from, message)?),
            Input::Lost(node) => Ok(self.lost(node)),
        }
    }

    fn begin(&mut self, vcpu: VcpuId, to: NodeId) -> Result<Vec<Command>, MoveRefused> {
        let local = self.local;
        let seat = self.seats.get_mut(vcpu.index());
        let seat = seat.ok_or(MoveRefused::NoSuchVcpu(vcpu))?;
        let epoch = match seat {
            Seat::Here { epoch } => *epoch,
            Seat::Elsewhere(place) => {
                let place = *place;
                return Err(MoveRefused::NotHere { vcpu, place });
            }
            _ => return Err(MoveRefused::Moving(vcpu)),
        };
        if to == local {
            return Err(MoveRefused::AlreadyThere(vcpu));
        }
        if !self.peers.contains(to) {
            return Err(MoveRefused::NoSuchNode(to));
        }
        if epoch.next().is_none() {
            return Err(MoveRefused::TooOften(vcpu));
        }
        let kept = Kept::default();
        *seat = Seat::Freezing { epoch, to, kept };
        Ok(vec![Command::Freeze { vcpu, to }])
    }

    fn frozen(&mut self, vcpu: VcpuId, state: Box<ArchState>) -> Steps {
        let reachable = self.peers;
        let seat = self.seat(vcpu)?;
        let Seat::Freezing { epoch, to, kept } = *seat else {
            return Err(ResidenceError::NotAsked(vcpu));
        };
        let next = epoch.next().filter(|_| reachable.contains(to));
        let Some(next) = next.filter(|_| codec::fits(&state)) else {
            let outcome = match reachable.contains(to) {
                true => Outcome::NotFrozen,
                false => Outcome::Lost,
            };
            *seat = Seat::Returning {
                epoch,
                to,
                outcome,
                kept,
            };
            return Ok(vec![Command::Load { vcpu, state }]);
        };
        let message = Message::Arrive {
            vcpu,
            epoch: next,
            state: state.clone(),
        };
        *seat = Seat::Leaving {
            epoch,
            next: Place {
                node: to,
                epoch: next,
            },
            state,
            kept,
        };
        Ok(vec![Command::Send { to, message }])
    }

    fn not_frozen(&mut self, vcpu: VcpuId) -> Steps {
        let seat = self.seat(vcpu)?;
        let Seat::Freezing { epoch, to, kept } = *seat else {
            return Err(ResidenceError::NotAsked(vcpu));
        };
        *seat = Seat::Here { epoch };
        let outcome = Outcome::NotFrozen;
        let mut commands = deliveries(vcpu, kept);
        commands.push(Command::Ended { vcpu, to, outcome });
        Ok(commands)
    }

    fn loaded(&mut self, vcpu: VcpuId) -> Steps {
        let seat = self.seat(vcpu)?;
        match *seat {
            Seat::Returning {
                epoch,
                to,
                outcome,
                kept,
            } => {
                *seat = Seat::Here { epoch };
                let mut commands = deliveries(vcpu, kept);
                commands.push(Command::Run { vcpu });
                commands.push(Command::Ended { vcpu, to, outcome });
                Ok(commands)
            }
            Seat::Arriving { epoch, was } => {
                *seat = Seat::Loaded { epoch, was };
                let message = Message::Loaded { vcpu, epoch };
                Ok(vec![Command::Send {
                    to: was.node,
                    message,
                }])
            }
            _ => Err(ResidenceError::NotAsked(vcpu)),
        }
    }

    fn not_loaded(&mut self, vcpu: VcpuId) -> Steps {
        let seat = self.seat(vcpu)?;
        match *seat {
            Seat::Returning { .. } => Ok(vec![Command::Broken { vcpu }]),
            Seat::Arriving { epoch, was } => {
                *seat = Seat::Elsewhere(was);
                let message = Message::Refused { vcpu, epoch };
                Ok(vec![Command::Send {
                    to: was.node,
                    message,
                }])
            }
            _ => Err(ResidenceError::NotAsked(vcpu)),
        }
    }

    /// An interrupt of this node for a vCPU that its host does not have.
    fn interrupted(&mut self, vcpu: VcpuId, interrupt: Interrupt) -> Steps {
        let seat = self.seat(vcpu)?;
        Ok(match seat {
            // The vCPU has come while the interrupt was on its way here.
            Seat::Here { .. } => vec![Command::Deliver { vcpu, interrupt }],
            // The host has let it go and its state is about to be told.
            Seat::Freezing { kept, .. }
            | Seat::Leaving { kept, .. }
            | Seat::Returning { kept, .. } => {
                kept.keep(interrupt);
                Vec::new()
            }
            Seat::Elsewhere(place)
            | Seat::Arriving { was: place, .. }
            | Seat::Loaded { was: place, .. } => vec![forward(vcpu, *place, interrupt)],
        })
    }

    fn message(&mut self, from: NodeId, message: Message) -> Result<Vec<Command>, Violation> {
        let vcpu = message.vcpu();
        if self.seats.get(vcpu.index()).is_none() {
            return Err(Violation::NoSuchVcpu(vcpu));
        }
        match message {
            Message::Interrupt {
                epoch, interrupt, ..
            } => self.received(vcpu, epoch, interrupt),
            Message::Arrive { epoch, state, .. } => self.arrives(from, vcpu, epoch, state),
            Message::Loaded { epoch, .. } => self.commit(from, vcpu, epoch),
            Message::Refused { epoch, .. } => self.refused(from, vcpu, epoch),
            Message::Commit { epoch, .. } => self.committed(from, vcpu, epoch),
            Message::At { epoch, .. } => self.announced(from, vcpu, epoch),
        }
    }

    /// An interrupt that a peer sent to what it takes for the vCPU's place.
    fn received(
        &mut self,
        vcpu: VcpuId,
        epoch: MoveEpoch,
        interrupt: Interrupt,
    ) -> Result<Vec<Command>, Violation> {
        let seat = &mut self.seats[vcpu.index()];
        if seat.place(self.local).epoch < epoch {
            return Err(Violation::Unknown { vcpu, epoch });
        }
        Ok(match seat {
            // While it is being frozen the host knows whether it has the vCPU still; if not, the interrupt
            // comes back as one of this node.
            Seat::Here { .. } | Seat::Freezing { .. } => {
                vec![Command::Deliver { vcpu, interrupt }]
            }
            Seat::Leaving { kept, .. } | Seat::Returning { kept, .. } => {
                kept.keep(interrupt);
                Vec::new()
            }
            Seat::Elsewhere(place)
            | Seat::Arriving { was: place, .. }
            | Seat::Loaded { was: place, .. } => vec![forward(vcpu, *place, interrupt)],
        })
    }

    fn arrives(
        &mut self,
        from: NodeId,
        vcpu: VcpuId,
        epoch: MoveEpoch,
        state: Box<ArchState>,
    ) -> Result<Vec<Command>, Violation> {
        let seat = &mut self.seats[vcpu.index()];
        let known = seat.place(self.local).epoch;
        // A vCPU that is here, or coming, comes from nowhere.
        let before = match (&*seat, epoch.0.checked_sub(1)) {
            (Seat::Elsewhere(_), Some(before)) if before >= known.0 => MoveEpoch(before),
            _ => return Err(Violation::Stale { vcpu, epoch, known }),
        };
        let was = Place {
            node: from,
            epoch: before,
        };
        *seat = Seat::Arriving { epoch, was };
        Ok(vec![Command::Load { vcpu, state }])
    }

    fn commit(
        &mut self,
        from: NodeId,
        vcpu: VcpuId,
        epoch: MoveEpoch,
    ) -> Result<Vec<Command>, Violation> {
        let seat = self.leaving(from, vcpu, epoch)?;
        let Seat::Leaving { next, kept, .. } = *seat else {
            return Ok(Vec::new());
        };
        *seat = Seat::Elsewhere(next);
        let to = next.node;
        let message = Message::Commit { vcpu, epoch };
        let mut commands = vec![
            Command::Relocate { vcpu, to },
            Command::Send { to, message },
        ];
        let kept = kept.into_interrupts().into_iter();
        commands.extend(kept.map(|interrupt| forward(vcpu, next, interrupt)));
        let outcome = Outcome::Moved;
        commands.push(Command::Ended { vcpu, to, outcome });
        Ok(commands)
    }

    fn refused(
        &mut self,
        from: NodeId,
        vcpu: VcpuId,
        epoch: MoveEpoch,
    ) -> Result<Vec<Command>, Violation> {
        let seat = self.leaving(from, vcpu, epoch)?;
        Ok(return_to(seat, vcpu, Outcome::Refused))
    }

    fn committed(
        &mut self,
        from: NodeId,
        vcpu: VcpuId,
        epoch: MoveEpoch,
    ) -> Result<Vec<Command>, Violation> {
        let seat = &mut self.seats[vcpu.index()];
        match seat {
            Seat::Loaded { epoch: own, was } if (*own, was.node) == (epoch, from) => {}
            _ => return Err(Violation::NoSuchMove { vcpu, epoch, from }),
        }
        *seat = Seat::Here { epoch };
        let mut commands = vec![Command::Run { vcpu }];
        for to in self.peers.without(from) {
            let message = Message::At { vcpu, epoch };
            commands.push(Command::Send { to, message });
        }
        Ok(commands)
    }

    fn announced(
        &mut self,
        from: NodeId,
        vcpu: VcpuId,
        epoch: MoveEpoch,
    ) -> Result<Vec<Command>, Violation> {
        let seat = &mut self.seats[vcpu.index()];
        let known = seat.place(self.local).epoch;
        // Old news: the vCPU has moved on, perhaps to here.
        if epoch <= known {
            return Ok(Vec::new());
        }
        match seat {
            Seat::Elsewhere(place) => {
                *place = Place { node: from, epoch };
                let to = from;
                Ok(vec![Command::Relocate { vcpu, to }])
            }
            // It cannot be ahead of what moves here, or moves away.
            _ => Err(Violation::Unknown { vcpu, epoch }),
        }
    }

    /// Takes back what was on its way to a node that did not get to run it.
    fn lost(&mut self, node: NodeId) -> Vec<Command> {
        self.peers = self.peers.without(node);
        let mut commands = Vec::new();
        for (vcpu, seat) in VcpuId::first(self.seats.len()).zip(&mut self.seats) {
            if matches!(seat, Seat::Leaving { next, .. } if next.node == node) {
                commands.extend(return_to(seat, vcpu, Outcome::Lost));
            }
        }
        commands
    }

    fn seat(&mut self, vcpu: VcpuId) -> Result<&mut Seat, ResidenceError> {
        let seat = self.seats.get_mut(vcpu.index());
        seat.ok_or(ResidenceError::NotAsked(vcpu))
    }

    /// The seat of a vCPU that leaves for `from` to have `epoch` there.
    fn leaving(
        &mut self,
        from: NodeId,
        vcpu: VcpuId,
        epoch: MoveEpoch,
    ) -> Result<&mut Seat, Violation> {
        let seat = &mut self.seats[vcpu.index()];
        match seat {
            Seat::Leaving { next, .. } if *next == Place { node: from, epoch } => Ok(seat),
            _ => Err(Violation::NoSuchMove { vcpu, epoch, from }),
        }
    }
}

/// Takes back a vCPU that is leaving.
fn return_to(seat: &mut Seat, vcpu: VcpuId, outcome: Outcome) -> Vec<Command> {
    let Seat::Leaving {
        epoch,
        next,
        state,
        kept,
    } = seat
    else {
        return Vec::new();
    };
    let (to, state) = (next.node, std::mem::take(state));
    let (epoch, kept) = (*epoch, *kept);
    *seat = Seat::Returning {
        epoch,
        to,
        outcome,
        kept,
    };
    vec![Command::Load { vcpu, state }]
}

fn forward(vcpu: VcpuId, place: Place, interrupt: Interrupt) -> Command {
    let epoch = place.epoch;
    Command::Send {
        to: place.node,
        message: Message::Interrupt {
            vcpu,
            epoch,
            interrupt,
        },
    }
}

fn deliveries(vcpu: VcpuId, kept: Kept) -> Vec<Command> {
    let kept = kept.into_interrupts().into_iter();
    kept.map(|interrupt| Command::Deliver { vcpu, interrupt })
        .collect()
}
