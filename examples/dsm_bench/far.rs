//! The processes of the other nodes, and what they are told to do.
//!
//! Orders and answers are lines on pipes, so that a node that has nothing to do sleeps and takes
//! no processor from those that are measured.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, ensure};
use rustix::process::{Signal, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};

use crate::pair::Cluster;
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
}

/// Who a far process is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) number: usize,
    pub(crate) cluster: Cluster,
}

/// The process of a node; it ends with this value.
#[derive(Debug)]
pub(crate) struct FarSide {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl FarSide {
    pub(crate) fn spawn(number: usize, cluster: &Cluster) -> anyhow::Result<Self> {
        let cluster = cluster.clone();
        let identity = serde_json::to_string(&Identity { number, cluster })?;
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
    pub(crate) fn answer(&mut self) -> anyhow::Result<Writer> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        serde_json::from_str(&line).context("a node ended early")
    }

    /// Tells it that no more orders come.
    pub(crate) fn dismiss(&mut self) {
        self.orders = None;
    }

    pub(crate) fn wait(mut self) -> anyhow::Result<()> {
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
pub(crate) fn obey(mut work: impl FnMut(Order) -> anyhow::Result<Writer>) -> anyhow::Result<()> {
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
