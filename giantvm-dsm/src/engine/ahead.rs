//! Which pages to ask for before a thread does: the next of a walk, here, or the rest of a
//! [block](blocks).
//!
//! Faults that follow one another at a constant distance make a *stream*. Once a stream is
//! believed, the pages ahead of its last fault are asked for, up to a *window*. The thread catches
//! up with what is under way, faults there, and so says how far it is: the window is then topped
//! up, so that the next pages are always under way while the last ones are used. It doubles with
//! each such fault that follows.
//!
//! Not all of a wide window is asked for at once: pages that a thread waits for would have to wait for
//! it. Who asks says for how many there is [room](Ahead::more), and comes again when some have arrived.
//!
//! What is asked for in vain is counted when a stream is given up: it lowers the *trust* in new
//! ones, and streams that use up all they got raise it. With little trust a stream has to be longer
//! before it is believed. Faults without a pattern ask for nothing, unless they are near one another.
//!
//! This is a value without a clock or memory of its own; what it says are wishes.

mod blocks;

use giantvm_core::PageIndex;

use self::blocks::Blocks;
use crate::protocol::{Access, Rights, Tick};

/// Streams that are followed at once: threads that walk through memory, several arrays each.
const STREAMS: usize = 16;
/// The longest distance between two faults of a stream, in pages.
const LONGEST_STRIDE: u64 = 16;
/// The first window of a stream.
const FIRST_WINDOW: u64 = 4;
/// Faults in a row that make a stream, by trust: none to full. Two that are not neighbours are no
/// row: among faults without a pattern, some are near one another.
const BELIEVED: [u32; 4] = [8, 4, 3, 2];
/// Most pages of which it is noted that a thread waits for them: one a thread, where there are not many.
const MOST_ODD: usize = 64;
const FULL_TRUST: usize = BELIEVED.len() - 1;

/// A walk through memory.
#[derive(Debug, Clone, Copy)]
struct Stream {
    access: Access,
    /// The last page that a thread faulted on.
    last: u64,
    /// How far it goes with each fault.
    stride: i64,
    /// Faults so far that were `stride` apart; the first one counts too.
    run: u32,
    /// Pages asked for ahead of `last`, in strides.
    ahead: u64,
    window: u64,
    /// Whether more of the window is to be asked for.
    asks: bool,
    /// When it was heard of last, in faults.
    heard: u64,
}

/// Pages to ask for: `count` of them, `stride` apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wish {
    first: u64,
    stride: i64,
    count: u64,
}

impl Wish {
    /// The pages, as far as they are below `end`.
    pub(super) fn pages(self, end: u64) -> impl Iterator<Item = PageIndex> {
        let page = move |step: u64| {
            let distance = self.stride.checked_mul(i64::try_from(step).ok()?)?;
            self.first.checked_add_signed(distance)
        };
        (0..self.count)
            .map_while(page)
            .take_while(move |&page| page < end)
            .map(PageIndex)
    }
}

/// The streams of one node.
#[derive(Debug)]
pub(super) struct Ahead {
    /// The widest window; 0 asks for nothing.
    most: u64,
    streams: Vec<Stream>,
    trust: usize,
    faults: u64,
    /// Pages asked for that a thread got to, since someone last looked.
    used: u64,
    /// Pages that a thread waits for which no walk leads to, at most [`MOST_ODD`].
    odd: Vec<PageIndex>,
    blocks: Blocks,
}

impl Ahead {
    pub(super) fn new(most: u32) -> Self {
        Self {
            most: most.into(),
            streams: Vec::with_capacity(STREAMS),
            trust: FULL_TRUST,
            faults: 0,
            used: 0,
            odd: Vec::new(),
            blocks: Blocks::new(most > 0),
        }
    }

    /// Notes a fault, because of which there may be [more](Self::more) to ask for.
    pub(super) fn faulted(&mut self, page: PageIndex, access: Access) {
        if self.most > 0 && !self.walked(page, access) && !self.odd.contains(&page) {
            if self.odd.len() >= MOST_ODD {
                self.odd.remove(0);
            }
            self.odd.push(page);
        }
    }

    /// Notes that data of another node came with a page. Near pages that nobody used yet there is nothing to
    /// ask for: others would take memory, and be used by no one.
    pub(super) fn came(&mut self, page: PageIndex, rights: Rights, now: Tick) {
        if self.settle(page) {
            self.blocks.came(page, rights, now);
        }
    }

    /// Notes that whoever waited for a page goes on, however that came. Whether no walk led to it.
    pub(super) fn settle(&mut self, page: PageIndex) -> bool {
        let at = self.odd.iter().position(|&odd| odd == page);
        at.map(|at| self.odd.swap_remove(at)).is_some()
    }

    /// Notes that a page went to another node.
    pub(super) fn lost(&mut self, page: PageIndex, now: Tick) {
        self.blocks.lost(page, now);
    }

    /// Notes a fault. Whether it is one of a stream that is believed.
    fn walked(&mut self, page: PageIndex, access: Access) -> bool {
        self.faults += 1;
        let (page, most, heard) = (page.0, self.most, self.faults);
        let mut streams = self.streams.iter_mut();
        if let Some(stream) = streams.find(|stream| stream.leads_to(page, access)) {
            stream.heard = heard;
            let asked = stream.ahead;
            let used_up = stream.follow(page);
            self.used += asked - stream.ahead;
            if used_up {
                self.trust = (self.trust + 1).min(FULL_TRUST);
            }
            return stream.extend(most, BELIEVED[self.trust]);
        }
        let mut streams = self.streams.iter_mut();
        if let Some(stream) = streams.find(|stream| stream.may_turn_to(page, access)) {
            stream.turn_to(page);
            stream.heard = heard;
            return stream.extend(most, BELIEVED[self.trust]);
        }
        self.begin(page, access);
        false
    }

    /// The next pages to ask for, at most `room`, and what for: those of the stream that was heard of
    /// last first, and those of blocks last.
    pub(super) fn more(&mut self, room: u64) -> Option<(Wish, Access)> {
        self.next_of_stream(room).or_else(|| self.blocks.more(room))
    }

    fn next_of_stream(&mut self, room: u64) -> Option<(Wish, Access)> {
        let asking = self.streams.iter_mut().filter(|stream| stream.asks);
        let stream = asking.max_by_key(|stream| stream.heard)?;
        Some((stream.ask(room)?, stream.access))
    }

    /// How many pages that were asked for a thread got to since the last call. It shows with the next
    /// fault of its stream.
    pub(super) fn used(&mut self) -> u64 {
        std::mem::take(&mut self.used)
    }

    /// Begins a stream, in place of the one that was not heard of for longest.
    fn begin(&mut self, page: u64, access: Access) {
        let stream = Stream {
            access,
            last: page,
            stride: 0,
            run: 1,
            ahead: 0,
            window: 0,
            asks: false,
            heard: self.faults,
        };
        if self.streams.len() < STREAMS {
            return self.streams.push(stream);
        }
        if let Some(oldest) = self.streams.iter_mut().min_by_key(|stream| stream.heard) {
            if oldest.ahead > 0 {
                self.trust = self.trust.saturating_sub(1);
            }
            *oldest = stream;
        }
    }
}

impl Stream {
    /// How many strides ahead `page` is, if the stream passes it.
    fn strides_to(&self, page: u64) -> Option<u64> {
        let distance = i64::try_from(page)
            .ok()?
            .checked_sub(i64::try_from(self.last).ok()?)?;
        let stride = self.stride;
        (stride != 0 && distance % stride == 0)
            .then(|| distance / stride)
            .and_then(|strides| u64::try_from(strides).ok())
            .filter(|&strides| strides > 0)
    }

    /// Whether a fault on `page` is what this stream comes to next, with what is asked for or
    /// just behind it.
    fn leads_to(&self, page: u64, access: Access) -> bool {
        let next = |strides: u64| strides <= self.ahead + 1;
        self.access == access && self.strides_to(page).is_some_and(next)
    }

    /// Whether `page` is near enough to be what this stream comes to after all.
    fn may_turn_to(&self, page: u64, access: Access) -> bool {
        let near = page != self.last && page.abs_diff(self.last) <= LONGEST_STRIDE;
        self.access == access && self.ahead == 0 && near
    }

    /// Goes on to `page`. `true` if that uses up what was asked for.
    fn follow(&mut self, page: u64) -> bool {
        let strides = self.strides_to(page).unwrap_or(0);
        let used_up = self.ahead > 0 && strides > self.ahead;
        self.ahead = self.ahead.saturating_sub(strides);
        self.last = page;
        self.run = self.run.saturating_add(1);
        used_up
    }

    /// Tries another distance.
    fn turn_to(&mut self, page: u64) {
        let distance = page.abs_diff(self.last);
        let distance = i64::try_from(distance).unwrap_or(0);
        self.stride = if page > self.last {
            distance
        } else {
            -distance
        };
        (self.last, self.run, self.window) = (page, 2, 0);
        self.asks = false;
    }

    /// Widens the window of a stream that is believed, and has it asked for once half of it is used.
    /// `false` if it is not.
    fn extend(&mut self, most: u64, believed: u32) -> bool {
        let apart = u32::from(self.stride.unsigned_abs() > 1);
        if self.run < believed + apart {
            return false;
        }
        let grown = (self.window * 2).clamp(FIRST_WINDOW, most.max(1));
        self.window = grown.min(most);
        self.asks |= self.ahead <= self.window / 2;
        true
    }

    /// Asks for as much of the window as there is room for.
    fn ask(&mut self, room: u64) -> Option<Wish> {
        let left = self.window.saturating_sub(self.ahead);
        let count = left.min(room);
        self.asks = count < left;
        let step = i64::try_from(self.ahead + 1).ok()?;
        let first = self
            .last
            .checked_add_signed(self.stride.checked_mul(step)?)?;
        self.ahead += count;
        (count > 0).then_some(Wish {
            first,
            stride: self.stride,
            count,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MOST: u32 = 32;

    fn wished(ahead: &mut Ahead, page: u64) -> Vec<u64> {
        ahead.faulted(PageIndex(page), Access::Read);
        more(ahead, u64::MAX)
    }

    fn more(ahead: &mut Ahead, room: u64) -> Vec<u64> {
        let Some((wish, Access::Read)) = ahead.more(room) else {
            return Vec::new();
        };
        wish.pages(u64::MAX).map(|page| page.0).collect()
    }

    /// A thread that walks: it faults on what was not asked for. Returns its faults.
    fn walk(ahead: &mut Ahead, pages: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let (mut here, mut faults) = (Vec::new(), Vec::new());
        for page in pages {
            if !here.contains(&page) {
                faults.push(page);
                here.extend(wished(ahead, page));
            }
        }
        faults
    }

    #[test]
    fn a_walk_faults_once_a_window() {
        let mut ahead = Ahead::new(MOST);
        let faults = walk(&mut ahead, 100..1100);
        assert_eq!(faults[..4], [100, 101, 106, 115]);
        assert!(faults.len() < 40, "{} faults", faults.len());
    }

    #[test]
    fn pages_that_a_walk_comes_past_or_to_are_counted_as_used() {
        let mut ahead = Ahead::new(MOST);
        walk(&mut ahead, 100..106);
        assert_eq!(ahead.used(), 0, "it is not known yet");
        assert_eq!(wished(&mut ahead, 106).len(), 8);
        assert_eq!(ahead.used(), 4);
        wished(&mut ahead, 110);
        assert_eq!(ahead.used(), 4, "the one that is under way is one of them");
        assert_eq!(ahead.used(), 0);
        wished(&mut ahead, 5000);
        assert_eq!(ahead.used(), 0, "elsewhere");
    }

    #[test]
    fn strides_and_backward_walks_are_followed() {
        for stride in [3, -1, -7_i64] {
            let mut ahead = Ahead::new(MOST);
            let walked = (0..500).map(|step| 10_000_u64.strict_add_signed(step * stride));
            let faults = walk(&mut ahead, walked);
            assert!(
                faults.len() < 30,
                "stride {stride}: {} faults",
                faults.len()
            );
        }
    }

    #[test]
    fn several_threads_walk_at_once() {
        let mut ahead = Ahead::new(MOST);
        let turns = (0..200).flat_map(|step| [0, 5000, 9000].map(|base| base + step));
        let faults = walk(&mut ahead, turns);
        assert!(faults.len() < 60, "{} faults", faults.len());
    }

    #[test]
    fn faults_without_a_pattern_ask_for_nothing() {
        let mut ahead = Ahead::new(MOST);
        let scattered = (0..1000_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20);
        assert!(
            scattered
                .into_iter()
                .all(|page| wished(&mut ahead, page).is_empty())
        );
    }

    #[test]
    fn short_walks_are_believed_less_and_less() {
        let mut ahead = Ahead::new(MOST);
        let mut asked = Vec::new();
        for walk in 0..200 {
            let start = walk * 1000;
            asked.push(wished(&mut ahead, start).len() + wished(&mut ahead, start + 1).len());
        }
        assert_eq!(asked[0], 4);
        assert_eq!(asked[100..].iter().sum::<usize>(), 0);
    }

    #[test]
    fn stores_do_not_follow_the_loads_of_another() {
        let mut ahead = Ahead::new(MOST);
        wished(&mut ahead, 1);
        ahead.faulted(PageIndex(2), Access::Write);
        assert_eq!(ahead.more(u64::MAX), None);
    }

    #[test]
    fn a_wide_window_is_asked_for_as_there_is_room() {
        let mut ahead = Ahead::new(MOST);
        let faults = walk(&mut ahead, 100..300);
        let last = faults[faults.len() - 1];
        let end = last + u64::from(MOST);
        ahead.faulted(PageIndex(end), Access::Read);
        let parts = [0; 4].map(|_| more(&mut ahead, 6));
        assert_eq!(parts.each_ref().map(Vec::len), [6; 4]);
        ahead.faulted(PageIndex(90_000), Access::Read);
        let rest = more(&mut ahead, u64::MAX);
        let asked: Vec<_> = parts.into_iter().flatten().chain(rest).collect();
        assert_eq!(asked, (end + 1..=end + u64::from(MOST)).collect::<Vec<_>>());
        assert!(more(&mut ahead, u64::MAX).is_empty());
    }

    #[test]
    fn without_room_nothing_is_asked_for_and_nothing_forgotten() {
        let mut ahead = Ahead::new(MOST);
        for page in [1, 2] {
            ahead.faulted(PageIndex(page), Access::Read);
        }
        assert!(more(&mut ahead, 0).is_empty());
        assert_eq!(more(&mut ahead, 3), [3, 4, 5]);
        assert_eq!(more(&mut ahead, 3), [6]);
    }

    #[test]
    fn the_rest_of_a_block_is_asked_for_once_what_was_wanted_of_it_came_with_data() {
        let all = [3, 40, 9, 60, 22, 51, 33, 14].map(PageIndex);
        let mut ahead = Ahead::new(MOST);
        let mut come = |page: PageIndex, waits: bool, with_data: bool| {
            if waits {
                ahead.faulted(page, Access::Read);
            }
            if with_data {
                ahead.came(page, Rights::Read, Tick(1));
            }
            ahead.settle(page);
            assert!(ahead.odd.is_empty(), "nobody waits");
            more(&mut ahead, u64::MAX).len()
        };
        assert_eq!(all.map(|page| come(page, false, true)), [0; 8], "unasked");
        let zeroes = all.map(|page| come(page, true, false));
        assert_eq!(zeroes, [0; 8], "zeroes, or a right without data");
        let asked = [0, 0, 0, 0, 0, 0, 0, 64];
        assert_eq!(all.map(|page| come(page, true, true)), asked);
    }

    #[test]
    fn nothing_is_asked_for_when_it_is_off() {
        assert_eq!(walk(&mut Ahead::new(0), 0..50).len(), 50);
    }

    proptest! {
        #[test]
        fn any_faults_ask_for_no_more_than_the_window_each(
            pages in prop::collection::vec(prop_oneof![0..64_u64, any::<u64>()], 0..200),
        ) {
            let mut ahead = Ahead::new(MOST);
            for page in pages {
                let wish = wished(&mut ahead, page);
                prop_assert!(wish.len() <= MOST as usize);
                prop_assert!(!wish.contains(&page));
            }
        }
    }
}
