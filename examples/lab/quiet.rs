//! What nodes do while their guest does nothing.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::checks::Finding;

/// What the guest's check `idle` prints before and after.
const BEGIN: &str = "LAB idle begins";
const END: &str = "LAB idle is over";

/// A node in one second, as `aggregate --top --json` tells of it.
#[derive(Debug, Deserialize)]
struct Sample {
    node: String,
    messages_out_per_second: f64,
    cpu_percent: f64,
    read_faults_per_second: f64,
    write_faults_per_second: f64,
    upgrades_per_second: f64,
}

/// What a node did in the middle one of its seconds, each figure by itself.
fn middle(samples: &[Sample], figure: impl Fn(&Sample) -> f64) -> f64 {
    let mut figures: Vec<_> = samples.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(0.0)
}

/// Whether no node sends more than `most` messages in the middle one of the seconds in which the guest is
/// idle. The first of them ended in work and does not count.
pub(crate) fn quiet(most: u32, output: &str) -> Finding {
    let what = format!("quiet: at most {most} messages a second of a node");
    let idle = output.lines().skip_while(|line| !line.contains(BEGIN));
    let idle = idle.take_while(|line| !line.contains(END));
    let samples = idle.filter_map(|line| {
        let at = line.find("{\"type\":\"sample\"")?;
        serde_json::from_str::<Sample>(line.get(at..)?).ok()
    });
    let mut nodes: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    for sample in samples {
        nodes.entry(sample.node.clone()).or_default().push(sample);
    }
    nodes
        .values_mut()
        .for_each(|samples| drop(samples.remove(0)));
    nodes.retain(|_, samples| !samples.is_empty());
    if nodes.len() < 2 {
        let told = "fewer than two nodes told of a second that was idle throughout";
        return Finding::new(what, false, told);
    }
    let mut ok = true;
    let told = nodes.iter().map(|(node, samples)| {
        let messages = middle(samples, |sample| sample.messages_out_per_second);
        let cpu = middle(samples, |sample| sample.cpu_percent);
        let faults = middle(samples, |sample| {
            sample.read_faults_per_second
                + sample.write_faults_per_second
                + sample.upgrades_per_second
        });
        ok &= messages <= f64::from(most);
        format!("{node} {messages:.0} messages and {faults:.0} faults a second, {cpu:.0} % of a processor")
    });
    let detail = told.collect::<Vec<_>>().join("; ");
    Finding::new(what, ok, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(node: &str, messages: u32) -> String {
        format!(
            "{{\"type\":\"sample\",\"second\":1.0,\"node\":\"{node}\",\"messages_out_per_second\":{messages},\
             \"cpu_percent\":2.0,\"read_faults_per_second\":1.0,\"write_faults_per_second\":0.0,\
             \"upgrades_per_second\":2.0,\"in_flight\":0}}\n"
        )
    }

    fn run(of: &[(&str, u32)]) -> String {
        let samples: String = of
            .iter()
            .map(|(node, messages)| sample(node, *messages))
            .collect();
        let busy = sample("n0", 90_000);
        format!("{busy}[    1.0] {BEGIN}\n{samples}guest: {END}\n{busy}")
    }

    #[test]
    fn the_middle_of_the_idle_seconds_counts_and_neither_the_first_nor_what_is_not_idle() {
        let seconds = [7000, 5, 4, 900, 6].map(|messages| [("n0", messages), ("n1", 1)]);
        let seconds = seconds.concat();
        let finding = quiet(10, &run(&seconds));
        assert!(finding.ok, "{finding:?}");
        assert!(
            finding.detail.starts_with("n0 6 messages and 3 faults"),
            "{finding:?}"
        );
        assert!(!quiet(5, &run(&seconds)).ok);
    }

    #[test]
    fn one_busy_node_is_enough_to_fail() {
        let seconds = [("n0", 1), ("n1", 1), ("n0", 1), ("n1", 700)];
        assert!(!quiet(10, &run(&seconds)).ok);
    }

    #[test]
    fn a_run_without_idle_seconds_of_two_nodes_fails() {
        assert!(!quiet(10, &run(&[("n0", 1), ("n0", 1)])).ok);
        assert!(!quiet(10, "").ok);
        assert!(!quiet(10, &run(&[("n0", 1)])).ok);
        assert!(!quiet(10, &run(&[]).replace(BEGIN, "")).ok);
    }
}
