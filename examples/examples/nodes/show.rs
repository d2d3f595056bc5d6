//! Pods on all nodes, and what they say to each other.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Node, Pod, Service};
use kube::{Api, Client, api::LogParams, runtime::wait::await_condition};
use orchestra_core::condition;
use orchestra_examples::{table, workloads};
use orchestra_runtime::manifest;

use super::{
    Error,
    web::{Server, within},
};

const MANIFEST: &str = include_str!("../../manifests/nodes.yaml");

/// Waits until nodes are ready, as many as `count`, and prints them.
pub(crate) async fn nodes_are_ready(client: &Client, count: u8) -> Result<(), Error> {
    let nodes = Api::<Node>::all(client.clone());
    let is_ready = |node: Option<&Node>| {
        let conditions = node.and_then(|node| node.status.as_ref()?.conditions.as_deref()).unwrap_or_default();
        condition::is_true(conditions, "Ready")
    };
    for number in 1..=count {
        let name = format!("node-{number}");
        within(format!("{name} is not ready"), await_condition(nodes.clone(), &name, is_ready)).await??;
    }
    println!("{}", table::render(&table::get(client, "/api/v1/nodes").await?));
    Ok(())
}

/// Runs web servers with a Service before them, has one on each node ask all of them, and prints who answers.
pub(crate) async fn pods_reach_each_other(client: &Client) -> Result<(), Error> {
    let mut objects = Vec::new();
    for document in manifest::parse("nodes.yaml", MANIFEST)? {
        let object = manifest::create(client, &document).await?;
        println!("{} created", workloads::full_name(&object));
        objects.push(object);
    }
    let ready = workloads::of(client, &objects);
    within("the pods are not ready", workloads::ready(&ready)).await??;
    println!("\n{}", table::render(&table::get(client, "/api/v1/namespaces/default/pods").await?));
    let service = Api::<Service>::default_namespaced(client.clone()).get("web").await?;
    let cluster_ip = service.spec.and_then(|spec| spec.cluster_ip).ok_or("the Service has no address")?;
    let pods = Api::<Pod>::default_namespaced(client.clone());
    let servers = Server::all(&pods).await?;
    let mut nodes = BTreeSet::new();
    // One of each node.
    for asking in servers.iter().filter(|server| nodes.insert(&server.node)) {
        println!("{} on {} asks", asking.name, asking.node);
        for server in &servers {
            println!("  {}: {}", server.address, asking.ask(&pods, server).await?);
        }
        for host in [&cluster_ip, "web", "web.default.svc.cluster.local"] {
            asking.ask_for_all(&pods, host, &servers).await?;
            println!("  {host}: all {} answer", servers.len());
        }
    }
    for server in &servers {
        let log = pods.logs(&server.name, &LogParams::default()).await?;
        println!("{} on {} logged {} answers", server.name, server.node, log.matches("response:200").count());
    }
    Ok(())
}
