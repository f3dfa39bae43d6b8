//! The figures of faults, for people.

use comfy_table::Table;

use crate::faults::report::Faults;
use crate::table::table;

const fn state(loaded: bool) -> &'static str {
    if loaded { "loaded" } else { "idle" }
}

impl Faults {
    pub(crate) fn to_text(&self) -> String {
        format!(
            "{}\n{}\n{}\n\
             Loaded: beside a process that keeps every processor busy.\n",
            self.latencies(),
            self.rates(),
            self.bare(),
        )
    }

    fn latencies(&self) -> Table {
        let mut rows = table([
            "fault",
            "machine",
            "p50 us",
            "p99 us",
            "floor p50",
            "p99",
            "ratio",
            "low..high",
            "ratio p99",
            "bar",
        ]);
        for row in &self.results {
            rows.add_row([
                row.name.to_owned(),
                state(row.loaded).to_owned(),
                format!("{:.1}", row.p50_us),
                format!("{:.1}", row.p99_us),
                format!("{:.1}", row.floor_p50_us),
                format!("{:.1}", row.floor_p99_us),
                format!("{:.2}", row.ratio.median),
                format!("{:.2}..{:.2}", row.ratio.low, row.ratio.high),
                format!("{:.2}", row.ratio_p99.median),
                row.verdict.name().to_owned(),
            ]);
        }
        rows
    }

    fn rates(&self) -> Table {
        let mut rows = table([
            "throughput",
            "machine",
            "value",
            "floor",
            "unit",
            "ratio",
            "low..high",
            "slowest",
            "longest us",
            "bar",
        ]);
        for row in &self.throughputs {
            let share = row.slowest_share;
            rows.add_row([
                row.name.clone(),
                state(row.loaded).to_owned(),
                format!("{:.0}", row.value),
                format!("{:.0}", row.floor),
                row.unit.to_owned(),
                format!("{:.3}", row.ratio.median),
                format!("{:.3}..{:.3}", row.ratio.low, row.ratio.high),
                share.map_or_else(String::new, |share| format!("{share:.2}")),
                row.longest_us
                    .map_or_else(String::new, |us| format!("{us:.0}")),
                row.verdict.name().to_owned(),
            ]);
        }
        rows
    }

    fn bare(&self) -> Table {
        let mut rows = table(["bare step", "machine", "p50 us", "p99 us"]);
        for row in &self.steps {
            rows.add_row([
                row.name.to_owned(),
                state(row.loaded).to_owned(),
                format!("{:.1}", row.p50_us),
                format!("{:.1}", row.p99_us),
            ]);
        }
        for row in &self.streams {
            rows.add_row([
                row.name.to_owned(),
                state(row.loaded).to_owned(),
                format!("{:.0} MiB/s", row.mib_per_second),
            ]);
        }
        rows
    }
}
