//! Accesses under way to other nodes: a state machine without I/O.

use std::collections::BTreeMap;

use giantvm_core::{AccessSize, MAX_VCPUS, NodeId, VcpuId};

use crate::{Access, AccessError, IoReply, Token};

/// Most accesses that can have been given up and not yet answered: four for each vCPU.
pub const MAX_ABANDONED: usize = 4 * MAX_VCPUS;

/// A peer sent what no sound node sends. The link to it should end; nothing else has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// The token is of no access under way: unknown, or answered before.
    #[error("node {from} answered access {token:#x}, which is not under way")]
    UnknownToken {
        /// The sender.
        from: NodeId,
        /// The token's number.
        token: u64,
    },
    /// The access was sent to another node.
    #[error("node {from} answered an access that was sent to node {asked}")]
    Foreign {
        /// The sender.
        from: NodeId,
        /// The node that was asked.
        asked: NodeId,
    },
    /// The value does not fit the access.
    #[error("node {from} answered an access of {size} with {value:#x}")]
    BadValue {
        /// The sender.
        from: NodeId,
        /// The access's.
        size: AccessSize,
        /// The value.
        value: u64,
    },
    /// The vCPU of a request does not run on the node that sent it.
    #[error("node {from} sent a request for vCPU {vcpu}, which it does not run")]
    ForeignVcpu {
        /// The sender.
        from: NodeId,
        /// The vCPU.
        vcpu: VcpuId,
    },
    /// The device of a request is on a third node, or nowhere.
    #[error("node {from} sent a request for a device that is not on this node")]
    NotHere {
        /// The sender.
        from: NodeId,
    },
    /// A request without an answer, for a register whose accesses are waited for.
    #[error("node {from} wants no answer where its vCPUs have to wait for one")]
    Unanswered {
        /// The sender.
        from: NodeId,
    },
    /// More requests at a time than vCPUs could make.
    #[error("node {from} has {limit} requests under way, more than its vCPUs can make")]
    TooMany {
        /// The sender.
        from: NodeId,
        /// The limit.
        limit: usize,
    },
}

/// An access that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completed {
    /// Its token.
    pub token: Token,
    /// The vCPU that waits for it.
    pub vcpu: VcpuId,
    /// How it ended.
    pub result: Result<u64, AccessError>,
}

#[derive(Debug, Clone, Copy)]
struct Pending {
    token: Token,
    node: NodeId,
    access: Access,
}

/// The accesses of one node's vCPUs to devices on other nodes.
///
/// A vCPU has one access under way at a time, so the table has [`MAX_VCPUS`] entries and
/// [`MAX_ABANDONED`] more for those that were given up. Every access ends exactly once: by its
/// reply, by the loss of its node, or by being given up.
///
/// ```
/// use giantvm_core::{NodeId, VcpuId};
/// use giantvm_io::{Access, AccessSize, Forwarder, IoReply, Space};
///
/// let (mut forwarder, far) = (Forwarder::new(), NodeId::new(1)?);
/// let access = Access::read(Space::Port, 0x3f8, AccessSize::Byte);
/// let token = forwarder.request(VcpuId::BOOT, far, access)?;
/// let reply = IoReply { token, result: Ok(0x41) };
/// let completed = forwarder.reply(far, reply)?.expect("a vCPU waits for it");
/// assert_eq!(completed.result, Ok(0x41));
/// assert!(forwarder.reply(far, reply).is_err(), "a second answer is a violation");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Forwarder {
    /// One entry for each vCPU.
    pending: Vec<Option<Pending>>,
    /// Tokens whose wait was given up, and which node still owes the answer.
    abandoned: BTreeMap<Token, NodeId>,
    /// Counts the requests. The token's upper 56 bits: 2,000 years at a million a second.
    sequence: u64,
}

impl Default for Forwarder {
    fn default() -> Self {
        Self::new()
    }
}

impl Forwarder {
    /// A forwarder with nothing under way.
    #[must_use]
    pub fn new() -> Self {
        Self {
            pending: vec![None; MAX_VCPUS],
            abandoned: BTreeMap::new(),
            sequence: 0,
        }
    }

    /// Begins an access of `vcpu` to a device on `node`; a request with the token that this returns
    /// is to be sent there.
    ///
    /// # Errors
    /// [`AccessError::Busy`] while the vCPU has another one under way.
    pub fn request(
        &mut self,
        vcpu: VcpuId,
        node: NodeId,
        access: Access,
    ) -> Result<Token, AccessError> {
        let slot = &mut self.pending[vcpu.index()];
        if slot.is_some() {
            return Err(AccessError::Busy(vcpu));
        }
        self.sequence += 1;
        let token = Token(self.sequence << 8 | u64::from(vcpu.get()));
        *slot = Some(Pending {
            token,
            node,
            access,
        });
        Ok(token)
    }

    /// Takes a reply. `None` if the access was given up meanwhile.
    ///
    /// # Errors
    /// [`Violation`] for a reply that answers nothing; the access it may mean stays under way.
    pub fn reply(&mut self, from: NodeId, reply: IoReply) -> Result<Option<Completed>, Violation> {
        let token = reply.token;
        if let Some(&asked) = self.abandoned.get(&token) {
            if asked != from {
                return Err(Violation::Foreign { from, asked });
            }
            self.abandoned.remove(&token);
            return Ok(None);
        }
        let unknown = Violation::UnknownToken {
            from,
            token: token.0,
        };
        let vcpu = token.vcpu().ok_or(unknown)?;
        let slot = &mut self.pending[vcpu.index()];
        let pending = slot
            .filter(|pending| pending.token == token)
            .ok_or(unknown)?;
        if pending.node != from {
            let asked = pending.node;
            return Err(Violation::Foreign { from, asked });
        }
        let Access { size, .. } = pending.access;
        if let Ok(value) = reply.result
            && (value > size.ones() || pending.access.is_write() && value != 0)
        {
            return Err(Violation::BadValue { from, size, value });
        }
        *slot = None;
        let result = reply
            .result
            .map_err(|error| AccessError::Remote { node: from, error });
        Ok(Some(Completed {
            token,
            vcpu,
            result,
        }))
    }

    /// Takes back an access whose request could not be sent. Whether it was still under way.
    pub fn unsent(&mut self, token: Token) -> bool {
        self.take(token).is_some()
    }

    /// Gives an access up: its vCPU waits no more, and its answer, when it comes, is dropped.
    ///
    /// Where [`MAX_ABANDONED`] answers are owed already, the access stays under way and its vCPU
    /// stays busy until the answer comes.
    pub fn abandon(&mut self, token: Token) {
        if self.abandoned.len() < MAX_ABANDONED
            && let Some(pending) = self.take(token)
        {
            self.abandoned.insert(token, pending.node);
        }
    }

    /// A node is gone: ends all accesses that wait for it.
    pub fn lost(&mut self, node: NodeId) -> Vec<Completed> {
        self.abandoned.retain(|_, owes| *owes != node);
        let ended = self
            .pending
            .iter_mut()
            .filter_map(|slot| slot.take_if(|pending| pending.node == node))
            .filter_map(|Pending { token, .. }| {
                Some(Completed {
                    token,
                    vcpu: token.vcpu()?,
                    result: Err(AccessError::Lost(node)),
                })
            });
        ended.collect()
    }

    /// How many accesses wait for their answers.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.pending.iter().flatten().count()
    }

    fn take(&mut self, token: Token) -> Option<Pending> {
        let slot = &mut self.pending[token.vcpu()?.index()];
        slot.take_if(|pending| pending.token == token)
    }
}

impl Token {
    /// The vCPU whose access this is; `None` for a number that was never a token.
    pub(crate) fn vcpu(self) -> Option<VcpuId> {
        let [vcpu, ..] = self.0.to_le_bytes();
        VcpuId::new(vcpu).ok()
    }
}

#[cfg(test)]
#[path = "forward_tests.rs"]
mod tests;
