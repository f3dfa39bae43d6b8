//! *Progress*: when nothing is left to happen, every fault was answered, every thread has done all
//! its work, and no transaction waits for anything.

use super::World;
use crate::testing::Inspect;

pub(super) fn check<P: Inspect>(world: &World<'_, P>) -> Result<(), String> {
    if world.disturbed {
        return Ok(());
    }
    for node in world.nodes.iter().filter(|node| node.alive) {
        for (number, thread) in node.threads.iter().enumerate() {
            let (left, id) = (thread.program.len(), node.id);
            if let Some((page, _)) = thread.blocked {
                return Err(format!(
                    "thread {number} of node {id} waits for page {page} for ever"
                ));
            }
            if left > 0 {
                return Err(format!(
                    "thread {number} of node {id} stopped {left} accesses early"
                ));
            }
        }
        if node.pins.waiting() > 0 {
            return Err(format!(
                "messages wait for a pin at node {id}",
                id = node.id
            ));
        }
        let in_flight = node.protocol.in_flight();
        if in_flight > 0 {
            return Err(format!(
                "{in_flight} transactions are left at node {}",
                node.id
            ));
        }
    }
    Ok(())
}
