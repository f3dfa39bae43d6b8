//! What is attached to a machine on one host, as the command line says it.

use giantvm_core::{Mac, NodeId};
use giantvm_sched::{ConsoleSpec, DiskSpec, NetSpec};

/// A disk of a machine on one host: `FILE`, and after commas `ro`, or `node=N`.
pub(crate) fn disk(text: &str) -> Result<DiskSpec, String> {
    let mut parts = text.split(',');
    let mut disk = DiskSpec {
        node: NodeId::ZERO,
        file: parts.next().unwrap_or_default().to_owned(),
        read_only: false,
    };
    if disk.file.is_empty() {
        return Err("name a file".to_owned());
    }
    for part in parts {
        match part.split_once('=') {
            None if part == "ro" => disk.read_only = true,
            Some(("node", number)) => disk.node = node(number)?,
            _ => return Err(format!("`{part}` is neither ro nor node=N")),
        }
    }
    Ok(disk)
}

/// A network card of a machine on one host: `TAP`, and after a comma `node=N`. Its address is that of
/// its position.
pub(crate) fn net(text: &str) -> Result<(String, NodeId), String> {
    placed(text, "name a tap interface")
}

/// A console of a machine on one host, beside the serial one: `LINK`, and after a comma `node=N`.
pub(crate) fn console(text: &str) -> Result<ConsoleSpec, String> {
    let (link, node) = placed(text, "name the link that leads to it")?;
    Ok(ConsoleSpec { node, link })
}

/// The cards, with addresses.
pub(crate) fn cards(taps: &[(String, NodeId)]) -> anyhow::Result<Vec<NetSpec>> {
    let cards = taps.iter().enumerate().map(|(number, (tap, node))| {
        let mac = Mac::new([0x52, 0x54, 0, 0x67, 0x76, number.try_into()?])?;
        Ok(NetSpec {
            node: *node,
            tap: tap.clone(),
            mac,
        })
    });
    cards.collect()
}

/// A name, and where it is.
fn placed(text: &str, missing: &str) -> Result<(String, NodeId), String> {
    let (name, node) = match text.split_once(",node=") {
        None => (text, NodeId::ZERO),
        Some((name, number)) => (name, node(number)?),
    };
    match name {
        "" => Err(missing.to_owned()),
        name => Ok((name.to_owned(), node)),
    }
}

fn node(number: &str) -> Result<NodeId, String> {
    let node = number
        .parse()
        .ok()
        .and_then(|number| NodeId::new(number).ok());
    node.ok_or_else(|| format!("`{number}` is no node's number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_follows_a_comma_and_is_the_first_one_else() {
        let [first, second] = [0, 1].map(|node| NodeId::new(node).unwrap());
        assert_eq!(net("tap0"), Ok(("tap0".to_owned(), first)));
        assert_eq!(net("tap0,node=1"), Ok(("tap0".to_owned(), second)));
        let there = console("/run/c,node=1").unwrap();
        assert_eq!((there.link.as_str(), there.node), ("/run/c", second));
        let disk = disk("a.img,ro,node=1").unwrap();
        assert_eq!(
            (disk.file.as_str(), disk.read_only, disk.node),
            ("a.img", true, second)
        );
    }

    #[test]
    fn what_has_no_name_or_no_node_is_refused() {
        for text in ["", ",node=1", "c,node=", "c,node=64", "c,node=x"] {
            assert!(console(text).is_err() && net(text).is_err(), "{text}");
        }
        assert!(disk("").is_err() && disk("a,rw").is_err());
    }
}
