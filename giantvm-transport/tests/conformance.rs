//! The conformance suite, run on every transport and wrapper of this crate.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::sync::Arc;

use giantvm_transport::testing::{EPOCH, LIMITS, socket_cluster, suite, tcp_cluster};
use giantvm_transport::wrap::{Faults, Faulty, Recording};
use giantvm_transport::{Transport, inproc};

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

fn inproc(nodes: usize) -> Vec<Arc<dyn Transport>> {
    let nodes = inproc::cluster(nodes, EPOCH, LIMITS).unwrap();
    nodes
        .into_iter()
        .map(|node| node as Arc<dyn Transport>)
        .collect()
}

fn faulty(nodes: Vec<Arc<dyn Transport>>, faults: &Faults) -> Vec<Arc<dyn Transport>> {
    let wrap = |node| Arc::new(Faulty::new(node, faults.clone()).unwrap()) as Arc<dyn Transport>;
    nodes.into_iter().map(wrap).collect()
}

fn recording(nodes: Vec<Arc<dyn Transport>>) -> Vec<Arc<dyn Transport>> {
    let wrap = |node| Arc::new(Recording::new(node, 50)) as Arc<dyn Transport>;
    nodes.into_iter().map(wrap).collect()
}

#[test]
fn inproc_conforms() {
    suite(inproc);
}

#[test]
fn tcp_over_ipv4_conforms() {
    suite(|nodes| tcp_cluster(nodes, V4).unwrap());
}

#[test]
fn tcp_over_sockets_alone_conforms() {
    suite(|nodes| socket_cluster(nodes, V4).unwrap());
}

#[test]
fn tcp_over_ipv6_conforms() {
    if TcpListener::bind((V6, 0)).is_err() {
        return giantvm_core::testing::skip("tcp_over_ipv6_conforms", "no IPv6 on loopback");
    }
    suite(|nodes| tcp_cluster(nodes, V6).unwrap());
}

#[test]
fn faulty_without_faults_conforms_over_any_transport() {
    suite(|nodes| faulty(inproc(nodes), &Faults::default()));
    suite(|nodes| faulty(tcp_cluster(nodes, V4).unwrap(), &Faults::default()));
}

#[test]
fn recording_conforms_over_any_transport() {
    suite(|nodes| recording(inproc(nodes)));
    suite(|nodes| recording(tcp_cluster(nodes, V4).unwrap()));
}
