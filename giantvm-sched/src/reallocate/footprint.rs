//! What a machine's parts take along when they move, and what it costs them to be apart.

/// Of each vCPU of a machine. The memory that is not zeroes is taken to be spread evenly over them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footprint {
    /// Bytes of memory that are not zeroes.
    pub memory: u64,
    /// Bytes that the vCPU uses all the time and that follow it, page by page.
    pub hot: u64,
    /// Bytes a second that it stores to, each page counted whole.
    pub stores: u64,
    /// What it loses by waiting for pages when all other vCPUs of its machine are on other hosts, in
    /// millionths of its time. When some are, it loses as much less.
    pub stall: u32,
    /// Whether the machine's vCPUs work in step, so that what holds up one holds up all.
    pub in_step: bool,
}

impl Default for Footprint {
    /// A vCPU with 2 GiB of memory in use, of which it uses 32 MiB all the time and stores to 64 MiB
    /// a second; alone on a host it waits for 2 % of its time. It works on while others wait.
    fn default() -> Self {
        Self {
            memory: 2 << 30,
            hot: 32 << 20,
            stores: 64 << 20,
            stall: 20_000,
            in_step: false,
        }
    }
}

impl Footprint {
    /// Time that all vCPUs of a machine together lose to being apart, in ns a second: `n s (1 - sum
    /// (n_i / n)^2)`, for `n` vCPUs of which `n_i` are on host `i`.
    #[must_use]
    pub fn stall(&self, spread: impl Iterator<Item = u32>) -> u64 {
        let (all, squares) = spread.fold((0_u64, 0_u64), |(all, squares), count| {
            let count = u64::from(count);
            (all + count, squares + count * count)
        });
        // Millionths are microseconds a second.
        let apart = all * all - squares;
        u64::from(self.stall) * 1000 * apart / all.max(1)
    }
}
