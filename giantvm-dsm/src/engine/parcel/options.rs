//! What a node can be told about how it packs pages.

/// When something that costs time and saves bytes is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum When {
    /// Not at all.
    Never,
    /// When it takes less time than the bytes would on the link, as far as that is known.
    #[default]
    Pays,
    /// On every link.
    Always,
}

/// How a node packs the pages that it sends, and what it keeps for that. Every node may have its
/// own: each unpacks whatever it asked for.
///
/// ```
/// use giantvm_dsm::engine::DsmOptions;
/// use giantvm_dsm::engine::parcel::Parcels;
///
/// let mut options = DsmOptions::default();
/// assert_eq!(options.parcels, Parcels::AUTO);
/// options.parcels = Parcels::PLAIN;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Parcels {
    /// Whether pages that are full of zeroes go without data.
    pub zeroes: bool,
    /// When pages go as what changed since a copy that the receiver has.
    pub deltas: When,
    /// When pages are compressed.
    pub lz4: When,
    /// Most bytes of copies that are kept for deltas; 0 for none.
    pub standby: usize,
}

/// A thousand pages of 4 KiB: those that travel again and again are few.
const STANDBY: usize = 4 << 20;

impl Parcels {
    /// Each where it pays.
    pub const AUTO: Self = Self {
        zeroes: true,
        deltas: When::Pays,
        lz4: When::Pays,
        standby: STANDBY,
    };
    /// Every page as it is.
    pub const PLAIN: Self = Self {
        zeroes: false,
        deltas: When::Never,
        lz4: When::Never,
        standby: 0,
    };
    /// The fewest bytes, whatever it costs.
    pub const ALWAYS: Self = Self {
        zeroes: true,
        deltas: When::Always,
        lz4: When::Always,
        standby: STANDBY,
    };
}

impl Default for Parcels {
    fn default() -> Self {
        Self::AUTO
    }
}
