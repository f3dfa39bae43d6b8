//! Messages from bytes that anyone may have written.

use giantvm_core::{NodeId, VcpuId};

use super::layout::{
    ASK, HEADER, MAGIC, MAX_ADVICE, MAX_EVENTS, MAX_GROUPS, MAX_MESSAGE, MAX_SHARERS, MAX_SUBJECTS,
    REPORT, SNAPSHOT, VERSION,
};
use super::{
    Advice, ChannelError, Counters, Features, HotGroup, Message, Report, Sharer, Snapshot, Subject,
    ThreadEvent,
};
use crate::schedule::{GroupSize, MAX_LINK, Machine, Nanos, PageGroup, ThreadId};

/// The length of the message that begins with these bytes, as its header says it.
///
/// # Errors
/// [`ChannelError`] if no message begins so.
pub(super) fn length(header: &[u8; HEADER]) -> Result<usize, ChannelError> {
    let mut bytes = Bytes(header);
    if bytes.u32()? != MAGIC {
        return Err(ChannelError::Magic);
    }
    let version = bytes.u16()?;
    if version != VERSION {
        return Err(ChannelError::Version(version));
    }
    let kind = bytes.u16()?;
    if ![SNAPSHOT, ASK, REPORT].contains(&kind) {
        return Err(ChannelError::Kind(kind));
    }
    let length = bytes.u32()? as usize;
    bytes.zero::<4>()?;
    if (HEADER..=MAX_MESSAGE).contains(&length) {
        Ok(length)
    } else {
        Err(ChannelError::Length(length))
    }
}

impl Message {
    /// The one message that `bytes` are.
    ///
    /// # Errors
    /// [`ChannelError`] if they are none, or more.
    pub fn decode(bytes: &[u8]) -> Result<Self, ChannelError> {
        let header = bytes.first_chunk::<HEADER>();
        let header = header.ok_or(ChannelError::Length(bytes.len()))?;
        if length(header)? != bytes.len() {
            return Err(ChannelError::Length(bytes.len()));
        }
        let kind = u16::from_le_bytes([header[6], header[7]]);
        let mut body = Bytes(&bytes[HEADER..]);
        let message = match kind {
            ASK => Self::Ask(body.u64()?),
            SNAPSHOT => Self::from(body.snapshot()?),
            REPORT => Self::from(body.report()?),
            other => return Err(ChannelError::Kind(other)),
        };
        if body.0.is_empty() {
            Ok(message)
        } else {
            Err(ChannelError::Length(bytes.len()))
        }
    }
}

/// What is left to be read.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], ChannelError> {
        let (taken, left) = self
            .0
            .split_first_chunk::<N>()
            .ok_or(ChannelError::Length(self.0.len()))?;
        self.0 = left;
        Ok(*taken)
    }

    fn u8(&mut self) -> Result<u8, ChannelError> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<u16, ChannelError> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, ChannelError> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, ChannelError> {
        self.take().map(u64::from_le_bytes)
    }

    fn zero<const N: usize>(&mut self) -> Result<(), ChannelError> {
        if self.take::<N>()? == [0; N] {
            Ok(())
        } else {
            Err(ChannelError::NotZero)
        }
    }

    fn node(&mut self) -> Result<NodeId, ChannelError> {
        let number = self.u8()?;
        NodeId::new(number).map_err(|_| ChannelError::Number("node", number.into()))
    }

    fn vcpu(&mut self) -> Result<VcpuId, ChannelError> {
        let number = self.u8()?;
        VcpuId::new(number).map_err(|_| ChannelError::Number("vCPU", number.into()))
    }

    fn snapshot(&mut self) -> Result<Snapshot, ChannelError> {
        let (id, generation, time) = (self.u64()?, self.u64()?, Nanos(self.u64()?));
        let features = Features::from_bits(self.u32()?)?;
        let pages = self.u16()?.into();
        let group_size = GroupSize::new(pages).ok_or(ChannelError::Number("group size", pages))?;
        let nodes = self.u8()?.into();
        self.zero::<1>()?;
        let (vcpus, groups, advice) = (self.u16()?, self.u16()?, self.u16()?);
        self.zero::<2>()?;
        limit("groups", groups.into(), MAX_GROUPS)?;
        limit("pieces of advice", advice.into(), MAX_ADVICE)?;
        let (machine, counters) = self.machine(nodes, vcpus.into())?;
        let mut snapshot = Snapshot::new(machine);
        (snapshot.id, snapshot.generation, snapshot.time) = (id, generation, time);
        (snapshot.features, snapshot.group_size) = (features, group_size);
        for (vcpu, of) in VcpuId::first(counters.len()).zip(counters) {
            if let Some(counters) = snapshot.counters_mut(vcpu) {
                *counters = of;
            }
        }
        for _ in 0..groups {
            let group = self.group()?;
            let number = group.group.0;
            if !snapshot.push_group(group) {
                return Err(ChannelError::Number("group of this machine", number));
            }
        }
        for _ in 0..advice {
            let advice = self.advice()?;
            let node = advice.node.get().into();
            if !snapshot.push_advice(advice) {
                return Err(ChannelError::Number("advice for this machine, node", node));
            }
        }
        Ok(snapshot)
    }

    fn machine(
        &mut self,
        nodes: usize,
        vcpus: usize,
    ) -> Result<(Machine, Vec<Counters>), ChannelError> {
        limit("vCPUs", vcpus, giantvm_core::MAX_VCPUS)?;
        limit("nodes", nodes, giantvm_core::MAX_NODES)?;
        let (mut homes, mut counters) = (Vec::new(), Vec::new());
        for _ in 0..vcpus {
            counters.push(Counters {
                reads: self.u64()?,
                writes: self.u64()?,
                stall: Nanos(self.u64()?),
            });
            let node = self.node()?;
            if node.index() >= nodes {
                return Err(ChannelError::Number("vCPU's node", node.get().into()));
            }
            homes.push(node);
            self.zero::<7>()?;
        }
        let mut machine = Machine::on(nodes, homes)?;
        for a in NodeId::first(nodes) {
            for b in NodeId::first(nodes).filter(|b| *b < a) {
                let cost = u64::from(self.u32()?);
                if !(1..=MAX_LINK.0).contains(&cost) {
                    return Err(ChannelError::Number("link's cost", cost));
                }
                machine.set_link(a, b, Nanos(cost));
            }
        }
        Ok((machine, counters))
    }

    fn group(&mut self) -> Result<HotGroup, ChannelError> {
        let number = PageGroup(self.u64()?);
        let mut group = HotGroup::new(number, self.node()?);
        let sharers = self.u8()?;
        self.zero::<6>()?;
        limit("sharers of a group", sharers.into(), MAX_SHARERS)?;
        for _ in 0..sharers {
            let (stall, reads, writes) = (Nanos(self.u64()?), self.u32()?, self.u32()?);
            let vcpu = self.vcpu()?;
            self.zero::<7>()?;
            if group.sharers().last().is_some_and(|last| last.vcpu >= vcpu) {
                return Err(ChannelError::Number("next sharer, vCPU", vcpu.get().into()));
            }
            group.add(Sharer {
                vcpu,
                reads,
                writes,
                stall,
            });
        }
        Ok(group)
    }

    fn advice(&mut self) -> Result<Advice, ChannelError> {
        let gain = self.u64()?;
        let mut advice = Advice::new(self.node()?, gain);
        let subjects = self.u8()?;
        self.zero::<6>()?;
        limit("subjects of advice", subjects.into(), MAX_SUBJECTS)?;
        for _ in 0..subjects {
            let subject = self.subject()?;
            if advice
                .subjects()
                .last()
                .is_some_and(|last| *last >= subject)
            {
                return Err(ChannelError::Number("next subject of advice", gain));
            }
            advice.add(subject);
        }
        Ok(advice)
    }

    fn subject(&mut self) -> Result<Subject, ChannelError> {
        let kind = self.u8()?;
        self.zero::<3>()?;
        let number = self.u32()?;
        match kind {
            0 => {
                let vcpu = u8::try_from(number).ok();
                let vcpu = vcpu.and_then(|number| VcpuId::new(number).ok());
                let vcpu = vcpu.ok_or(ChannelError::Number("vCPU", number.into()))?;
                Ok(Subject::Vcpu(vcpu))
            }
            1 => Ok(Subject::Thread(ThreadId(number))),
            other => Err(ChannelError::Number("kind of subject", other.into())),
        }
    }

    fn report(&mut self) -> Result<Report, ChannelError> {
        let count = self.u32()? as usize;
        limit("events", count, MAX_EVENTS)?;
        let mut report = Report::default();
        report.lost = self.u32()?;
        for _ in 0..count {
            report.push(ThreadEvent::from_word(self.u64()?)?);
        }
        Ok(report)
    }
}

fn limit(what: &'static str, count: usize, most: usize) -> Result<(), ChannelError> {
    if count <= most {
        Ok(())
    } else {
        Err(ChannelError::Many(what, count))
    }
}
