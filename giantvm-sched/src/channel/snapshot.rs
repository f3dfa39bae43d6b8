//! All that the host tells at one time.

use giantvm_core::{NodeId, VcpuId};

use super::ChannelError;
use super::layout::{
    FEATURE_ADVICE, FEATURE_FAULTS, FEATURE_GROUPS, FEATURE_THREADS, MAX_ADVICE, MAX_GROUPS,
    MAX_SHARERS, MAX_SUBJECTS,
};
use crate::schedule::{GroupSize, Machine, Nanos, PageGroup, ThreadId};

/// What the host measures and hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Features(u32);

impl Features {
    /// vCPUs' faults and stalls are counted.
    pub const FAULTS: Self = Self(FEATURE_FAULTS);
    /// Groups are told.
    pub const GROUPS: Self = Self(FEATURE_GROUPS);
    /// Advice is given.
    pub const ADVICE: Self = Self(FEATURE_ADVICE);
    /// Reports of threads are heard.
    pub const THREADS: Self = Self(FEATURE_THREADS);
    const ALL: u32 = FEATURE_FAULTS | FEATURE_GROUPS | FEATURE_ADVICE | FEATURE_THREADS;

    /// These and those.
    #[must_use]
    pub const fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether all of `others` are among these.
    #[must_use]
    pub const fn has(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// As a number.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// From a number.
    ///
    /// # Errors
    /// [`ChannelError::Number`] if it has a bit that this version does not know.
    pub const fn from_bits(bits: u32) -> Result<Self, ChannelError> {
        if bits & !Self::ALL == 0 {
            Ok(Self(bits))
        } else {
            Err(ChannelError::Number("set of features", bits as u64))
        }
    }
}

/// Faults that another node had to answer, and how long they took, since the machine's start. They
/// only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Faults of loads.
    pub reads: u64,
    /// Faults of stores.
    pub writes: u64,
    /// How long they waited, all together.
    pub stall: Nanos,
}

/// What one vCPU did with a group of pages, since the group is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sharer {
    /// Which vCPU.
    pub vcpu: VcpuId,
    /// Faults of loads.
    pub reads: u32,
    /// Faults of stores.
    pub writes: u32,
    /// How long it waited.
    pub stall: Nanos,
}

/// Pages that are waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HotGroup {
    /// Which pages.
    pub group: PageGroup,
    /// Their home, as far as it is known, or where they came from.
    pub home: NodeId,
    sharers: Vec<Sharer>,
}

impl HotGroup {
    /// A group that no one is known to share.
    #[must_use]
    pub const fn new(group: PageGroup, home: NodeId) -> Self {
        Self {
            group,
            home,
            sharers: Vec::new(),
        }
    }

    /// Who waited for it, by vCPU.
    #[must_use]
    pub fn sharers(&self) -> &[Sharer] {
        &self.sharers
    }

    /// How long all of them waited.
    #[must_use]
    pub fn stall(&self) -> Nanos {
        let stalls = self.sharers.iter().map(|sharer| sharer.stall);
        stalls.fold(Nanos(0), Nanos::plus)
    }

    /// Adds a sharer, once for each vCPU. Of more than [`MAX_SHARERS`] the one that waited least is
    /// left out.
    pub fn add(&mut self, sharer: Sharer) {
        match self
            .sharers
            .binary_search_by_key(&sharer.vcpu, |of| of.vcpu)
        {
            Ok(known) => self.sharers[known] = sharer,
            Err(at) => self.sharers.insert(at, sharer),
        }
        if self.sharers.len() > MAX_SHARERS {
            let least = (0..self.sharers.len()).min_by_key(|&at| self.sharers[at].stall);
            self.sharers.remove(least.unwrap_or(0));
        }
    }
}

/// Whom advice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// What runs on a vCPU, where the host knows no threads.
    Vcpu(VcpuId),
    /// A thread that the guest told of.
    Thread(ThreadId),
}

/// What should be on one node, together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// The node.
    pub node: NodeId,
    /// What that is expected to save: ns a second.
    pub gain: u64,
    subjects: Vec<Subject>,
}

impl Advice {
    /// Advice about no one yet.
    #[must_use]
    pub const fn new(node: NodeId, gain: u64) -> Self {
        Self {
            node,
            gain,
            subjects: Vec::new(),
        }
    }

    /// Whom it is about, in their order.
    #[must_use]
    pub fn subjects(&self) -> &[Subject] {
        &self.subjects
    }

    /// Adds a subject, unless it is there. `false` if there are [`MAX_SUBJECTS`].
    pub fn add(&mut self, subject: Subject) -> bool {
        let Err(at) = self.subjects.binary_search(&subject) else {
            return true;
        };
        let fits = self.subjects.len() < MAX_SUBJECTS;
        if fits {
            self.subjects.insert(at, subject);
        }
        fits
    }
}

/// All that the host knows, as of one time.
///
/// ```
/// use giantvm_core::NodeId;
/// use giantvm_sched::channel::{Features, HotGroup, Snapshot};
/// use giantvm_sched::schedule::{Machine, PageGroup};
///
/// let mut snapshot = Snapshot::new(Machine::new(&[1, 1])?);
/// snapshot.features = Features::FAULTS.with(Features::GROUPS);
/// assert!(snapshot.push_group(HotGroup::new(PageGroup(0x2a), NodeId::ZERO)));
/// assert_eq!(snapshot.counters().len(), 2);
/// # Ok::<(), giantvm_sched::schedule::MachineError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The number of the question that it answers.
    pub id: u64,
    /// Another one whenever anything else but `id` and `time` is; it only grows.
    pub generation: u64,
    /// When it was gathered, since the machine's start.
    pub time: Nanos,
    /// What of the rest means something.
    pub features: Features,
    /// The pages of a group.
    pub group_size: GroupSize,
    machine: Machine,
    counters: Vec<Counters>,
    groups: Vec<HotGroup>,
    advice: Vec<Advice>,
}

impl Snapshot {
    /// One of this machine in which nothing happened yet.
    #[must_use]
    pub fn new(machine: Machine) -> Self {
        Self {
            id: 0,
            generation: 0,
            time: Nanos(0),
            features: Features::default(),
            group_size: GroupSize::DEFAULT,
            counters: vec![Counters::default(); machine.vcpu_count()],
            groups: Vec::new(),
            advice: Vec::new(),
            machine,
        }
    }

    /// The vCPUs, their nodes and the links between those.
    #[must_use]
    pub const fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The counters of each vCPU, in their order.
    #[must_use]
    pub fn counters(&self) -> &[Counters] {
        &self.counters
    }

    /// The counters of a vCPU; `None` if there is no such vCPU.
    pub fn counters_mut(&mut self, vcpu: VcpuId) -> Option<&mut Counters> {
        self.counters.get_mut(vcpu.index())
    }

    /// The hottest groups, the hottest first.
    #[must_use]
    pub fn groups(&self) -> &[HotGroup] {
        &self.groups
    }

    /// Adds the next hottest group. `false` if there are [`MAX_GROUPS`], or it names a node or vCPU that
    /// the machine does not have.
    pub fn push_group(&mut self, group: HotGroup) -> bool {
        let known = |sharer: &Sharer| self.machine.node_of(sharer.vcpu).is_some();
        let fits = self.groups.len() < MAX_GROUPS
            && self.machine.has_node(group.home)
            && group.sharers.iter().all(known);
        if fits {
            self.groups.push(group);
        }
        fits
    }

    /// The advice, what saves most first.
    #[must_use]
    pub fn advice(&self) -> &[Advice] {
        &self.advice
    }

    /// Adds advice. `false` if there are [`MAX_ADVICE`] pieces, or it names a node or vCPU that the
    /// machine does not have.
    pub fn push_advice(&mut self, advice: Advice) -> bool {
        let known = |subject: &Subject| match subject {
            Subject::Vcpu(vcpu) => self.machine.node_of(*vcpu).is_some(),
            Subject::Thread(_) => true,
        };
        let fits = self.advice.len() < MAX_ADVICE
            && self.machine.has_node(advice.node)
            && advice.subjects.iter().all(known);
        if fits {
            self.advice.push(advice);
        }
        fits
    }

    /// The same with other names for whom advice is about.
    #[must_use]
    pub fn with_subjects(mut self, name: impl Fn(Subject) -> Subject) -> Self {
        let said = std::mem::take(&mut self.advice);
        for advice in said {
            let mut named = Advice::new(advice.node, advice.gain);
            for subject in advice.subjects {
                named.add(name(subject));
            }
            self.push_advice(named);
        }
        self
    }

    /// Whether it says the same as `other`, whenever that was asked for.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        let of = |snapshot: &Self| Self {
            id: 0,
            generation: 0,
            time: Nanos(0),
            ..snapshot.clone()
        };
        of(self) == of(other)
    }
}
