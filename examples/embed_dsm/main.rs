//! Two processes share a typed region: no virtual machine, only the distributed memory.
//! The first process starts the second one. On two hosts, start one on each by hand: give it its
//! number, 0 or 1, and the addresses of both.

use std::process::{Command, exit};
use std::sync::{Arc, atomic::AtomicU64, atomic::Ordering};
use std::time::Duration;

use giantvm_core::{Epoch, NodeId, PageIndex, PageSize};
use giantvm_dsm::backing::BackingError;
use giantvm_dsm::engine::{Dsm, Handlers, Watcher};
use giantvm_dsm::protocol::{Directory, HomeMap};
use giantvm_dsm::sync::{Barrier, Lock, OwnPages};
use giantvm_dsm::view::Region;
use giantvm_transport::tcp::TcpConnector;
use giantvm_transport::{JoinConfig, Loss, NodeEntry, Progress, join_blocking};

/// What the processes share. Pages travel as a whole: what is used on its own gets its own ones.
#[derive(zerocopy::FromBytes)]
#[repr(C)]
struct Shared {
    barrier: OwnPages<Barrier>,
    /// Takes several steps to change, so it needs the lock.
    account: OwnPages<Lock<[u64; 2]>>,
    /// Needs none: atomics work between processes as they do between threads.
    visits: OwnPages<AtomicU64>,
}

const NODES: u32 = 2;
const ROUNDS: u64 = 200;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [number, addresses @ ..] = &arguments[..] {
        return work(NodeId::new(number.parse()?)?, addresses);
    }
    let addresses = [free_address()?, free_address()?];
    let mut second = Command::new(std::env::current_exe()?);
    let mut second = second.arg("1").args(&addresses).spawn()?;
    work(NodeId::ZERO, &addresses)?;
    anyhow::ensure!(second.wait()?.success(), "the second process failed");
    println!("both processes saw one memory");
    Ok(())
}

fn work(local: NodeId, addresses: &[String]) -> anyhow::Result<()> {
    // Find the other node.
    let nodes = ["a", "b"].into_iter().zip(addresses.iter().cloned());
    let nodes = nodes.map(|(name, address)| NodeEntry {
        name: name.into(),
        address,
    });
    let config = JoinConfig::new("embed", nodes.collect(), local);
    let progress = |progress: &Progress| eprintln!("{progress}");
    let transport = join_blocking(&TcpConnector::new(config), &progress)?;

    // Share memory with it; each node is home to its part of the pages.
    let pages = PageSize::K4.pages_for(size_of::<Shared>() as u64);
    let homes = HomeMap::even(pages, NodeId::first(NODES as usize));
    let handlers = Handlers::default().watch(Arc::new(EndTogether));
    let dsm = Dsm::start::<Directory>(transport, Epoch::FIRST, PageSize::K4, homes, handlers)?;
    let shared = Region::<Shared>::new(dsm.mapping(), PageIndex(0))?;

    // Use it as two threads would.
    for _ in 0..ROUNDS {
        shared.barrier.wait(NODES);
        shared.visits.fetch_add(1, Ordering::Relaxed);
        let mut account = shared.account.lock();
        account[0] += 1;
        account[1] += account[0];
    }
    shared.barrier.wait(NODES);

    let total = u64::from(NODES) * ROUNDS;
    assert_eq!(*shared.account.lock(), [total, total * (total + 1) / 2]);
    assert_eq!(shared.visits.load(Ordering::Relaxed), total);
    let faults = dsm.stats().faults_remote();
    println!("node {local}: {total} additions in all, {faults} remote faults here");
    Ok(dsm.finish(Duration::from_secs(10))?)
}

/// Without the other node the memory is not whole, and threads may wait for its pages for ever.
struct EndTogether;

impl Watcher for EndTogether {
    fn lost(&self, node: NodeId, loss: &Loss) {
        eprintln!("node {node} is lost: {loss}");
        exit(1)
    }
    fn failed(&self, error: &BackingError) {
        eprintln!("{error}");
        exit(1)
    }
}

fn free_address() -> std::io::Result<String> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok(listener.local_addr()?.to_string())
}
