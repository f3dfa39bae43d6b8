//! Everything that was measured, for machines and for people.

use giantvm_examples::machine::this_machine;
use serde::Serialize;

use crate::ahead::{self, Ahead};
use crate::cli::Cli;
use crate::fan_out::{self, FanOut};
use crate::faults;
use crate::faults::report::{Faults, Measured};
use crate::idle::{self, Idle};
use crate::knobs;
use crate::part::Part;
use crate::place;
use crate::scan::{self, Scan};
use crate::scatter::{self, Scatter};
use crate::start::{self, Start};
use crate::steps::{self, Steps};

/// What the parts found; nothing of those that were not wanted.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Found {
    #[serde(skip)]
    pub(crate) rounds: Vec<Measured>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fan_out: Option<Vec<FanOut>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scatter: Option<Scatter>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<Vec<Start>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ahead: Option<Vec<Ahead>>,
    /// `stores` in JSON, where `steps` are those that floors are made of.
    #[serde(rename = "stores", skip_serializing_if = "Vec::is_empty")]
    steps: Vec<Steps>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scan: Option<Vec<Scan>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    knobs: Option<Vec<knobs::Row>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idle: Option<Vec<Idle>>,
}

impl Found {
    /// Measures what is wanted.
    pub(crate) fn by(cli: &Cli) -> anyhow::Result<Self> {
        let cpus = place::allowed()?;
        cli.place.take(&cpus, 0)?;
        let mut found = Self::default();
        // First, while this process has not used memory for much else.
        if cli.wants(Part::Start) {
            found.start = Some(start::run(cli)?);
        }
        if cli.wants(Part::Faults) {
            found.rounds = faults::run(cli, &cpus)?;
        }
        if cli.wants(Part::FanOut) {
            found.fan_out = Some(fan_out::run(cli, &cpus)?);
        }
        if cli.wants(Part::Scatter) {
            found.scatter = Some(scatter::run(cli, &cpus)?);
        }
        if cli.wants(Part::Ahead) {
            found.ahead = Some(ahead::run(cli, &cpus)?);
        }
        if cli.wants(Part::Scan) {
            found.scan = Some(scan::run(cli, &cpus)?);
        }
        if cli.wants(Part::Steps) {
            found.steps = steps::run(cli, &cpus)?;
        }
        if cli.wants(Part::Knobs) {
            found.knobs = Some(knobs::run(cli, &cpus)?);
        }
        if cli.wants(Part::Idle) {
            found.idle = Some(idle::run(cli, &cpus)?);
        }
        Ok(found)
    }

    pub(crate) fn report(&self, cli: &Cli) -> Report<'_> {
        let faults = cli.wants(Part::Faults);
        Report {
            setting: Setting::of(cli),
            faults: faults.then(|| Faults::of(cli, &self.rounds)),
            found: self,
        }
    }
}

/// Where and how it was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Setting {
    pub(crate) rounds: u64,
    protocol: &'static str,
    transport: String,
    pump: String,
    place: String,
    /// Processor and system.
    pub(crate) machine: String,
    /// What was typed.
    pub(crate) command: String,
}

impl Setting {
    fn of(cli: &Cli) -> Self {
        let lower = |name: String| name.to_lowercase();
        let arguments = std::env::args().skip(1);
        let command = std::iter::once("dsm_bench".to_owned()).chain(arguments);
        Self {
            rounds: cli.rounds,
            protocol: cli.protocol.name(),
            transport: lower(format!("{:?}", cli.transport)),
            pump: lower(format!("{:?}", cli.pump)),
            place: lower(format!("{:?}", cli.place)),
            machine: this_machine(),
            command: command.collect::<Vec<_>>().join(" "),
        }
    }

    /// One line for people.
    pub(crate) fn line(&self) -> String {
        let Self {
            rounds,
            protocol,
            transport,
            pump,
            place,
            ..
        } = self;
        format!(
            "{rounds} round{}, protocol {protocol}, over {transport}, pump {pump}, placement {place}",
            if *rounds == 1 { "" } else { "s" },
        )
    }
}

/// All figures.
#[derive(Debug, Serialize)]
pub(crate) struct Report<'a> {
    #[serde(flatten)]
    pub(crate) setting: Setting,
    #[serde(flatten)]
    faults: Option<Faults>,
    #[serde(flatten)]
    found: &'a Found,
}

impl Report<'_> {
    pub(crate) fn to_text(&self) -> String {
        let found = self.found;
        let tables = [
            self.faults.as_ref().map(Faults::to_text),
            found
                .fan_out
                .as_deref()
                .map(|rows| fan_out::show(rows).to_string()),
            found.scatter.as_ref().map(|rows| rows.show().to_string()),
            found
                .start
                .as_deref()
                .map(|rows| start::show(rows).to_string()),
            found
                .ahead
                .as_deref()
                .map(|rows| ahead::show(rows).to_string()),
            (!found.steps.is_empty()).then(|| steps::show(&found.steps)),
            found
                .scan
                .as_deref()
                .map(|rows| scan::show(rows).to_string()),
            found
                .knobs
                .as_deref()
                .map(|rows| knobs::show(rows).to_string()),
            found
                .idle
                .as_deref()
                .map(|rows| idle::show(rows).to_string()),
        ];
        let mut text: String = tables
            .into_iter()
            .flatten()
            .map(|table| format!("{}\n", table.trim_end()))
            .collect();
        text += &format!(
            "Medians of {}; each ratio is to the floor of its own round.\n\
             {}. What rows and floors are: --help.\n",
            self.setting.line(),
            self.setting.machine,
        );
        text
    }
}
