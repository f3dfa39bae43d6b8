//! Bytes as the lies of a hostile node: the first one chooses the protocol.

use std::sync::OnceLock;

use giantvm_dsm::protocol::{Directory, Ivy, Lease};
use giantvm_dsm::testing::model::Checkable;
use giantvm_dsm::testing::{Adversary, Roaming};

/// An adversary that has learned a protocol, once.
fn learned<P: Checkable>(cell: &'static OnceLock<Adversary>) -> &'static Adversary {
    cell.get_or_init(|| Adversary::learn::<P>().expect("an undisturbed run"))
}

static DIRECTORY: OnceLock<Adversary> = OnceLock::new();
static IVY: OnceLock<Adversary> = OnceLock::new();
static LEASE: OnceLock<Adversary> = OnceLock::new();
static HOMES: OnceLock<Adversary> = OnceLock::new();

/// The directory whose homes move at once.
type Homes = Roaming<1>;

/// Returns how many lies the node believed.
///
/// # Panics
/// If the node breaks a law that holds whatever a peer sends.
#[allow(dead_code, reason = "each target uses one of the two")]
pub(crate) fn assault(bytes: &[u8]) -> usize {
    let Some((first, bytes)) = bytes.split_first() else {
        return 0;
    };
    let believed = match first % 4 {
        0 => learned::<Directory>(&DIRECTORY).assault::<Directory>(bytes),
        1 => learned::<Ivy>(&IVY).assault::<Ivy>(bytes),
        2 => learned::<Lease>(&LEASE).assault::<Lease>(bytes),
        _ => learned::<Homes>(&HOMES).assault::<Homes>(bytes),
    };
    believed.unwrap_or_else(|what| panic!("{what}"))
}

/// Returns about how many pages a lie was told that has to be believed.
///
/// # Panics
/// If a correct node breaks a law about any other page, or the run does not end.
#[allow(dead_code, reason = "each target uses one of the two")]
pub(crate) fn besiege(bytes: &[u8]) -> usize {
    let [first, seed, bytes @ ..] = bytes else {
        return 0;
    };
    let seed = u64::from(*seed);
    let believed = match first % 4 {
        0 => learned::<Directory>(&DIRECTORY).besiege::<Directory>(seed, bytes),
        1 => learned::<Ivy>(&IVY).besiege::<Ivy>(seed, bytes),
        2 => learned::<Lease>(&LEASE).besiege::<Lease>(seed, bytes),
        _ => learned::<Homes>(&HOMES).besiege::<Homes>(seed, bytes),
    };
    believed.unwrap_or_else(|failure| panic!("{failure}"))
}
