//! What moves take, once.

use super::footprint::Footprint;
use super::params::Parameters;
use super::plan::Cost;
use crate::precopy::{Dirtying, estimate};
use crate::schedule::Nanos;

/// The bytes of a page.
const PAGE: u64 = 4096;
/// What a page takes on the wire: itself, its frame's header, and the request for it.
const PAGE_ON_WIRE: u64 = PAGE + 128;

/// A vCPU goes, and the pages that it uses follow. Who comes back fetches fewer.
pub(super) fn follow(params: &Parameters, footprint: &Footprint, comes_back: bool) -> Cost {
    let pages = footprint.hot.div_ceil(PAGE);
    let fetched = if comes_back {
        (u128::from(pages) * u128::from(params.returning.min(100))).div_ceil(100)
    } else {
        pages.into()
    };
    let fetched = u64::try_from(fetched).unwrap_or(u64::MAX);
    let waits = params
        .pause
        .plus(Nanos(params.fault.0.saturating_mul(fetched)));
    Cost {
        lost: waits,
        waits,
        took: params.pause,
        bytes: fetched.saturating_mul(PAGE_ON_WIRE),
    }
}

/// All memory of so many vCPUs is sent by pre-copy. Sending keeps a processor busy at either end.
pub(super) fn migrate(params: &Parameters, footprint: &Footprint, vcpus: u32) -> Cost {
    let all = |of: u64| of.saturating_mul(vcpus.into());
    let machine = Dirtying {
        used: all(footprint.memory),
        hot: all(footprint.hot),
        rate: all(footprint.stores),
    };
    let of = estimate(params.terms, &machine, params.link);
    let stands = of.downtime.0.saturating_mul(vcpus.into());
    Cost {
        lost: Nanos(stands.saturating_add(of.took.0.saturating_mul(2))),
        waits: of.downtime,
        took: of.took,
        bytes: of.bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_a_vcpu_follow_one_by_one_and_fewer_when_it_comes_back() {
        let (params, footprint) = (Parameters::default(), Footprint::default());
        let there = follow(&params, &footprint, false);
        // 8192 pages of 50 us.
        assert_eq!(there.waits, Nanos(5_000_000 + 409_600_000));
        assert_eq!(there.bytes, 8192 * 4224);
        let back = follow(&params, &footprint, true);
        assert_eq!(back.bytes, 4916 * 4224);
        assert!(back.lost < there.lost);
    }

    #[test]
    fn a_slice_takes_its_memory_along() {
        let params = Parameters::default();
        let cost = migrate(&params, &Footprint::default(), 8);
        assert!(cost.bytes >= 16 << 30);
        assert!(cost.waits <= params.terms.downtime);
        // 17.2 GB at 1.25 GB/s, and two processors for that long.
        assert!(cost.took.0 > 13_700_000_000 && cost.took.0 < 14_500_000_000);
        assert_eq!(cost.lost.0, cost.waits.0 * 8 + cost.took.0 * 2);
    }
}
