//! What `--top` shows for one moment, as text.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};

use crate::hot::{HotPage, HotSpot, User, spots};
use crate::rates::Rates;

/// Users of a page that are named, the heaviest first.
const NAMED: usize = 4;

/// One node at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) node: String,
    pub(crate) rates: Rates,
    pub(crate) hottest: Vec<HotPage>,
    /// Whether the node told of itself since the last moment; otherwise this is what it told then.
    pub(crate) fresh: bool,
}

/// The cluster at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Moment {
    /// Since the guest was started.
    pub(crate) second: f64,
    pub(crate) rows: Vec<Row>,
}

impl Moment {
    /// The cluster's hottest pages.
    pub(crate) fn spots(&self) -> Vec<HotSpot> {
        spots(self.rows.iter().map(|row| (&*row.node, &row.hottest[..])))
    }

    /// The nodes and the hottest pages.
    pub(crate) fn to_text(&self) -> String {
        format!(
            "After {:.1} s: what each node does a second, and the hottest pages of late by guest \
             physical address\n{}\n{}\n",
            self.second,
            nodes(&self.rows),
            pages(&self.spots()),
        )
    }
}

/// As many of `lines` as fit on `rows` by `columns`, each cut to the width, and below them the last
/// ones of `more`, as far as there is room.
pub(crate) fn fit(text: &str, more: &[String], rows: usize, columns: usize) -> Vec<String> {
    let cut = |line: &str| line.chars().take(columns).collect::<String>();
    let mut shown: Vec<_> = text.lines().take(rows).map(cut).collect();
    let room = rows - shown.len();
    let last = more.len().saturating_sub(room);
    shown.extend(more[last..].iter().map(|line| cut(line)));
    shown
}

fn nodes(rows: &[Row]) -> Table {
    let mut table = table([
        "node",
        "read",
        "write",
        "upgrade",
        "local",
        "p50 us",
        "p99 us",
        "pages in",
        "out",
        "MiB in",
        "out",
        "messages",
        "cpu %",
        "guesses",
        "ahead",
        "used",
        "in flight",
    ]);
    for row in rows {
        let rates = &row.rates;
        let whole = |rate: f64| format!("{rate:.0}");
        let micros = |time: Option<f64>| time.map_or("-".into(), |us| format!("{us:.0}"));
        let mib = |rate: f64| format!("{:.1}", rate / f64::from(1 << 20));
        let mark = if row.fresh { "" } else { "?" };
        table.add_row([
            format!("{}{mark}", row.node),
            whole(rates.read_faults_per_second),
            whole(rates.write_faults_per_second),
            whole(rates.upgrades_per_second),
            whole(rates.local_faults_per_second),
            micros(rates.fault_p50_us),
            micros(rates.fault_p99_us),
            whole(rates.pages_in_per_second),
            whole(rates.pages_out_per_second),
            mib(rates.bytes_in_per_second),
            mib(rates.bytes_out_per_second),
            whole(rates.messages_out_per_second),
            whole(rates.cpu_percent),
            whole(rates.guesses_per_second),
            whole(rates.read_ahead_per_second),
            whole(rates.read_ahead_used_per_second),
            rates.in_flight.to_string(),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn pages(spots: &[HotSpot]) -> Table {
    let mut table = table(["page", "heat", "", "read and write faults of its users"]);
    for spot in spots {
        table.add_row([
            spot.address.to_string(),
            spot.heat.to_string(),
            if spot.ping_pong { "ping-pong" } else { "" }.to_owned(),
            users(&spot.users),
        ]);
    }
    for column in table.column_iter_mut().take(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn table<const COLUMNS: usize>(header: [&str; COLUMNS]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(header);
    table
}

/// The heaviest users first.
fn users(users: &[User]) -> String {
    let uses = |user: &User| u64::from(user.reads) + u64::from(user.writes);
    let mut users: Vec<_> = users.iter().filter(|user| uses(user) > 0).collect();
    users.sort_by_key(|user| std::cmp::Reverse(uses(user)));
    let mut text = String::new();
    for user in users.iter().take(NAMED) {
        write!(text, "{} {}r {}w  ", user.node, user.reads, user.writes).ok();
    }
    if users.len() > NAMED {
        write!(text, "and {} more", users.len() - NAMED).ok();
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hot::Address;

    fn moment(nodes: usize) -> Moment {
        let row = |n: usize| Row {
            node: format!("n{n}"),
            rates: Rates {
                read_faults_per_second: 1234.4,
                bytes_out_per_second: 3.0 * f64::from(1 << 20),
                ..Rates::default()
            },
            hottest: vec![HotPage {
                address: Address(0x9000),
                reads: u32::try_from(n).unwrap(),
                writes: 7,
                taken: 7,
                turns: 7,
                ping_pong: true,
                peers: vec![0],
            }],
            fresh: n > 0,
        };
        Moment {
            second: 3.2,
            rows: (0..nodes).map(row).collect(),
        }
    }

    fn line<'a>(text: &'a str, with: &str) -> &'a str {
        text.lines().find(|line| line.contains(with)).unwrap()
    }

    #[test]
    fn a_moment_shows_rates_pages_and_who_uses_them() {
        let text = moment(2).to_text();
        let node = line(&text, "n1 ");
        assert!(node.contains("1234") && node.contains("3.0"), "{text}");
        let page = line(&text, "0x9000");
        assert!(
            page.contains("ping-pong") && page.contains("n1 1r 7w  n0 0r 7w"),
            "{text}"
        );
        assert!(
            line(&text, "n0? ").contains('-'),
            "it did not answer: {text}"
        );
    }

    #[test]
    fn of_many_users_the_heaviest_are_named() {
        let text = moment(9).to_text();
        let page = line(&text, "0x9000");
        assert!(
            page.contains("n8 8r 7w  n7 7r 7w  n6 6r 7w  n5 5r 7w  and 5 more"),
            "{text}"
        );
    }

    #[test]
    fn what_does_not_fit_is_cut_and_the_last_lines_of_the_console_stay() {
        let more = ["first", "second", "third"].map(str::to_owned);
        assert_eq!(
            fit("abcdef\nb\nc", &more, 5, 4),
            ["abcd", "b", "c", "seco", "thir"]
        );
        assert_eq!(fit("a\nb\nc", &more, 2, 80), ["a", "b"]);
        assert_eq!(fit("a", &[], 0, 0), [""; 0]);
    }
}
