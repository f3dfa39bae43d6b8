//! What a round of a litmus test leaves.

use super::test::Variable;

/// Most registers of a test.
pub(super) const REGISTERS: usize = 4;

/// Every register and every variable after a round, two bits each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Outcome(u16);

impl Outcome {
    /// How many there can be.
    pub const COUNT: usize = 1 << (2 * (REGISTERS + 2));

    /// The one with this index.
    #[must_use]
    pub fn at(index: usize) -> Option<Self> {
        let within = (index < Self::COUNT).then_some(index)?;
        u16::try_from(within).ok().map(Self)
    }

    /// Its index, below [`Outcome::COUNT`].
    #[must_use]
    pub fn index(self) -> usize {
        self.0.into()
    }

    /// This one and a register that was 0 in it.
    #[must_use]
    pub const fn with_register(self, register: usize, value: u64) -> Self {
        self.with(register, value)
    }

    /// This one and a variable that was 0 in it.
    #[must_use]
    pub const fn with_variable(self, variable: Variable, value: u64) -> Self {
        self.with(REGISTERS + variable as usize, value)
    }

    /// A value that no test writes becomes 3, which no test allows.
    const fn with(self, place: usize, value: u64) -> Self {
        let value = if value < 3 { value as u16 } else { 3 };
        Self(self.0 & !(3 << (2 * place)) | value << (2 * place))
    }

    /// Value of a register.
    #[must_use]
    pub const fn register(self, register: usize) -> u64 {
        self.value(register)
    }

    /// Last value of a variable.
    #[must_use]
    pub const fn variable(self, variable: Variable) -> u64 {
        self.value(REGISTERS + variable as usize)
    }

    const fn value(self, place: usize) -> u64 {
        (self.0 >> (2 * place) & 3) as u64
    }

    /// The registers alone, in a byte.
    #[must_use]
    pub(super) const fn registers(self) -> u8 {
        self.0 as u8
    }

    /// The outcome of registers, all variables being 0.
    #[must_use]
    pub(super) const fn of_registers(registers: u8) -> Self {
        Self(registers as u16)
    }
}

/// A set of outcomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcomes([u64; Outcome::COUNT / 64]);

impl Outcomes {
    pub(super) const EMPTY: Self = Self([0; Outcome::COUNT / 64]);

    pub(super) fn insert(&mut self, outcome: Outcome) {
        self.0[outcome.index() / 64] |= 1 << (outcome.index() % 64);
    }

    /// Whether an outcome is among them.
    #[must_use]
    pub fn contains(&self, outcome: Outcome) -> bool {
        self.0[outcome.index() / 64] >> (outcome.index() % 64) & 1 == 1
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Outcome> {
        let all = (0..Outcome::COUNT).filter_map(Outcome::at);
        all.filter(|outcome| self.contains(*outcome))
    }
}
