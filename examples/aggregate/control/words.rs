//! Requests and answers, and how they are read and written.

use std::io::{self, BufRead, Read as _, Write};

use clap::Subcommand;
use giantvm_sched::Size;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Most bytes of a line.
const MAX_LINE: u64 = 4096;

/// What a machine is asked to do, on the command line and by the socket.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// Move a vCPU to another node. The guest does not notice.
    MoveVcpu {
        /// The vCPU's number.
        vcpu: u8,
        /// The node's name: n0, n1 and so on where all are on one host.
        node: String,
    },
    /// Move all vCPUs of a node to others, and its share of the memory to one, in the background. Devices stay,
    /// and are named; a node without any may be ended then, and the guest does not notice.
    Evacuate {
        /// The node's name.
        node: String,
        /// How fast pages may leave it at most, in bytes a second such as 100M; as fast as it goes by default.
        #[arg(long, value_name = "BYTES", value_parser = bytes)]
        bandwidth: Option<u64>,
        /// Which node takes over its share of the memory; by default the one with the most room.
        #[arg(long, value_name = "NODE")]
        heir: Option<String>,
    },
    /// Move the vCPUs back to a node that it had when the machine started; its memory follows by use. The node
    /// still runs: one that was ended, or was not there then, cannot come. If it is being evacuated, that is
    /// done before.
    Admit {
        /// The node's name.
        node: String,
    },
}

/// A number of bytes that is not zero.
fn bytes(text: &str) -> Result<u64, String> {
    let size: Size = text.parse().map_err(|error| format!("{error}"))?;
    match size.bytes() {
        0 => Err("nothing ever leaves at that rate".into()),
        bytes => Ok(bytes),
    }
}

/// What a machine says to that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Answer {
    /// So much is done of so much.
    Progress {
        /// What was done last.
        what: String,
        /// How much is done.
        done: usize,
        /// How much there is.
        of: usize,
    },
    /// All is done.
    Done {
        /// What there is to say about it.
        said: String,
    },
    /// It ended otherwise.
    Failed {
        /// Why.
        why: String,
    },
}

/// Writes a line.
pub(super) fn write(to: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    to.write_all(&line)?;
    to.flush()
}

/// Reads a line; `None` at the end.
pub(super) fn read<T: DeserializeOwned>(from: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    from.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
    match line.is_empty() {
        true => Ok(None),
        // One that is cut short is no JSON.
        false => Ok(Some(serde_json::from_slice(&line)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_as_they_were_written() {
        let text = || String::from("vCPU 1\nis \"back\"");
        let (done, of) = (1, 2);
        let what = text();
        let mut lines = Vec::new();
        let answers = [
            Answer::Progress { what, done, of },
            Answer::Failed { why: text() },
            Answer::Done { said: text() },
        ];
        answers
            .iter()
            .for_each(|answer| write(&mut lines, answer).unwrap());
        let mut from = &lines[..];
        for answer in answers {
            assert_eq!(read(&mut from).unwrap(), Some(answer));
        }
    }

    #[test]
    fn requests_are_lines_and_what_is_none_is_refused() {
        let mut line = Vec::new();
        let node = String::from("n1");
        let request = Request::MoveVcpu { vcpu: 1, node };
        write(&mut line, &request).unwrap();
        assert_eq!(line, b"{\"move_vcpu\":{\"vcpu\":1,\"node\":\"n1\"}}\n");
        assert_eq!(read(&mut &line[..]).unwrap(), Some(request));
        assert_eq!(read::<Request>(&mut &b""[..]).unwrap(), None);
        let long = [b' '; 10_000];
        for bad in [&b"{}\n"[..], b"{\"evacuate\":{}}\n", &line[..9], &long] {
            assert!(read::<Request>(&mut &bad[..]).is_err());
        }
        let evacuate = read(&mut &b"{\"evacuate\":{\"node\":\"n1\"}}\n"[..]).unwrap();
        let unsaid = |request: &Request| match request {
            Request::Evacuate {
                bandwidth, heir, ..
            } => bandwidth.is_none() && heir.is_none(),
            Request::MoveVcpu { .. } | Request::Admit { .. } => false,
        };
        assert!(evacuate.as_ref().is_some_and(unsaid), "{evacuate:?}");
    }
}
