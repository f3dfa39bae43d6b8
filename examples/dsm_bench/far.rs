//! The processes of the other nodes, and what they are told to do.
//!
//! Orders and answers are lines on pipes, so that a node that has nothing to do sleeps and takes
//! no processor from those that are measured.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, ensure};
use rustix::process::{Signal, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};

use crate::pair::{Cluster, Knobs, Node};
use crate::steps::Note;
use crate::workload::{Walk, Writer};

/// What a node is told to do.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Store to these pages, and so become their owner and only holder.
    Own(Walk),
    /// Write one word after node a did, so often.
    Turns(u64),
    /// Write your own word on the first page for so many milliseconds.
    Write(u64),
    /// Load from each of these pages, and then store to it.
    Update(Walk),
    /// Load from these pages, and so come to hold copies.
    Share(Walk),
    /// Put the logical clock at this time or later.
    Level(u64),
    /// Say how many coherence messages were sent so far.
    Sent,
    /// Say how many seconds of processor time the process took so far.
    Worked,
    /// Say what was noted since the last time.
    Notes,
}

/// What a node says when it has carried out an order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Answer {
    Done,
    Wrote(Writer),
    Sent(u64),
    Worked(f64),
    Noted(Vec<Note>),
}

/// What a far process is there for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Duty {
    /// Faults and their floors, those by way of this port and this memory.
    Faults { raw: u16, ring: PathBuf },
    /// Sharing pages, and echoing what comes over another cluster.
    Share { echoes: Cluster },
    /// A node with these knobs.
    Plain(Knobs),
    /// A node that notes what it does when.
    Noting,
}

/// Who a far process is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) number: usize,
    pub(crate) cluster: Cluster,
    pub(crate) duty: Duty,
}

/// The process of a node; it ends with this value.
#[derive(Debug)]
pub(crate) struct FarSide {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl FarSide {
    pub(crate) fn spawn(number: usize, cluster: &Cluster, duty: &Duty) -> anyhow::Result<Self> {
        let (cluster, duty) = (cluster.clone(), duty.clone());
        let identity = serde_json::to_string(&Identity {
            number,
            cluster,
            duty,
        })?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(std::env::args_os().skip(1))
            .args(["--far", &identity])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a node")?;
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().context("it has a pipe")?);
        Ok(Self {
            child,
            orders,
            answers,
        })
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> std::io::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    pub(crate) fn order(&mut self, order: Order) -> anyhow::Result<()> {
        let mut line = serde_json::to_string(&order)?;
        line.push('\n');
        let orders = self.orders.as_mut().context("no more orders")?;
        Ok(orders.write_all(line.as_bytes())?)
    }

    /// Waits until the order is carried out.
    pub(crate) fn answer(&mut self) -> anyhow::Result<Answer> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        serde_json::from_str(&line).context("a node ended early")
    }

    /// Has an order carried out.
    pub(crate) fn ask(&mut self, order: Order) -> anyhow::Result<Answer> {
        self.order(order)?;
        self.answer()
    }

    /// Lets node a and all others leave.
    pub(crate) fn part(mut fars: Vec<Self>, node: Node) -> anyhow::Result<()> {
        fars.iter_mut().for_each(|far| far.orders = None);
        node.finish()?;
        fars.into_iter().try_for_each(Self::wait)
    }

    fn wait(mut self) -> anyhow::Result<()> {
        ensure!(self.child.wait()?.success(), "a node failed");
        Ok(())
    }
}

impl Drop for FarSide {
    fn drop(&mut self) {
        // Neither does anything after `wait`.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Carries out all orders.
pub(crate) fn obey(mut work: impl FnMut(Order) -> anyhow::Result<Answer>) -> anyhow::Result<()> {
    for line in std::io::stdin().lock().lines() {
        let answer = work(serde_json::from_str(&line?)?)?;
        println!("{}", serde_json::to_string(&answer)?);
    }
    Ok(())
}

/// Makes the kernel end this process when its parent ends, however that comes.
pub(crate) fn die_with_parent() -> anyhow::Result<()> {
    Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
}
