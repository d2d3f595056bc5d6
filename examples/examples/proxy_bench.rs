//! How fast kube-proxy's rules come into force, and what a connection through them costs, in a network namespace of its own. Needs root,
//! nftables and iproute2.
//!
//! ```text
//! cargo run --release --example proxy_bench
//! cargo run --release --example proxy_bench -- --services 1000 --chains
//! ```

use std::{
    error::Error,
    io::Read,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use clap::Parser;
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use orchestra_core::ObjectKey;
use orchestra_examples::measure::{millis, resident};
use orchestra_runtime::proxy::{Applier, Program, ProxyConfig, ProxyNode, RuleSet, SERVICE_NAME, service_rules};
use serde_json::json;
use tokio::time::Instant;

#[derive(Parser)]
struct Options {
    /// How many Services there are.
    #[arg(long, default_value_t = 10_000)]
    services: usize,
    /// How many endpoints each of them has.
    #[arg(long, default_value_t = 10)]
    endpoints: usize,
    /// How many connections a figure of latency is of.
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// Also loads the same Services as a chain for each Service and endpoint, as Kubernetes has them; with 10,000 it takes minutes.
    #[arg(long)]
    chains: bool,
    /// It is in the namespace already.
    #[arg(long, hide = true)]
    inside: bool,
}

/// The address of the node, which also serves what latency is measured of.
const NODE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const PORT: u16 = 8080;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let options = Options::parse();
    if !options.inside {
        let mut command = Command::new("unshare");
        command.arg("--net").arg(std::env::current_exe()?).args(std::env::args_os().skip(1)).arg("--inside");
        let status = command.status()?;
        return if status.success() { Ok(()) } else { Err(format!("the benchmark needs root: {status}").into()) };
    }
    for words in [
        "link set lo up",
        "link add d0 type veth peer name d1",
        "addr add 192.0.2.1/24 dev d0",
        "link set d0 up",
        "link set d1 up",
        "route add default dev d0",
    ] {
        run("ip", &words.split(' ').collect::<Vec<_>>(), "")?;
    }
    thread::spawn(|| serve().map_err(|error| eprintln!("{error}")));
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(&options))
}

/// Ends every connection at once.
fn serve() -> std::io::Result<()> {
    for connection in TcpListener::bind((NODE, PORT))?.incoming() {
        drop(connection?);
    }
    Ok(())
}

async fn measure(options: &Options) -> Result<()> {
    let (services, endpoints) = (options.services, options.endpoints);
    println!("{services} services x {endpoints} endpoints");
    let objects: Vec<_> = (0..services).map(|number| object(number, endpoints, 0)).collect::<Result<_>>()?;
    let (all, slices): (Vec<_>, Vec<_>) = objects.into_iter().unzip();
    let node = ProxyNode { addresses: vec![NODE.into()], ..ProxyNode::named("node-0") };
    let config = ProxyConfig::default();

    let start = Instant::now();
    let mut rules = RuleSet::of(&all, &slices, &node, &config);
    row("rules from the objects", &millis(start.elapsed()));
    let mut applier = Applier::new(Program::new("nft"));
    let start = Instant::now();
    applier.apply(&rules).await?;
    row("first sync", &millis(start.elapsed()));
    row("resident memory, with the objects", &format!("{:.0} MB", resident()));

    let key = ObjectKey::of(&all[services / 2]);
    for (what, most) in
        [("one endpoint replaced, in force", endpoints), ("one endpoint more or less, in force", endpoints + 1)]
    {
        let mut times = Vec::new();
        for round in 0..40 {
            let count = if round % 2 == 0 { most } else { endpoints };
            let (service, slice) = object(services / 2, count, if most == endpoints { round + 1 } else { 0 })?;
            let start = Instant::now();
            rules.set_service(&key, service_rules(&service, &[&slice], &node));
            applier.apply(&rules).await?;
            times.push(start.elapsed());
        }
        times.sort();
        row(what, &format!("{} (worst {})", millis(times[times.len() / 2]), millis(times[times.len() - 1])));
    }
    let start = Instant::now();
    applier.forget();
    applier.apply(&rules).await?;
    row("the same by loading all anew", &millis(start.elapsed()));

    latency(options, &mut applier, [&all[..10.min(services)], &all], &slices, &node).await?;
    applier.clean_up().await?;
    if options.chains {
        chains(options)?;
    }
    Ok(())
}

/// Connections to the last Service of few and of all, in turns; that Service leads to the server.
async fn latency(
    options: &Options,
    applier: &mut Applier,
    sets: [&[Service]; 2],
    slices: &[EndpointSlice],
    node: &ProxyNode,
) -> Result<()> {
    let mut medians = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..3 {
        for (place, services) in sets.iter().enumerate() {
            let measured = services.len() - 1;
            let mut slices = slices.to_vec();
            slices[measured] = slice(measured, &[NODE; 1]);
            applier.apply(&RuleSet::of(services, &slices, node, &ProxyConfig::default())).await?;
            medians[place].push(connect(options.connections, SocketAddr::new(cluster_ip(measured).into(), 80))?);
        }
        medians[2].push(connect(options.connections, SocketAddr::new(NODE.into(), PORT))?);
    }
    for times in &mut medians {
        times.sort();
    }
    let micros = |place: usize| medians[place][1].as_secs_f64() * 1e6;
    row("connection without a service", &format!("{:.1} us", micros(2)));
    row("connection through one of 10", &format!("{:.1} us", micros(0)));
    let (few, many) = (micros(0), micros(1));
    row(
        &format!("connection through one of {}", options.services),
        &format!("{many:.1} us ({:+.1} %)", (many / few - 1.0) * 100.0),
    );
    Ok(())
}

/// The median time of a connection.
fn connect(count: usize, address: SocketAddr) -> Result<Duration> {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        times.push(start.elapsed());
        // The server closes first, so that the client's port is free again at once.
        let _ = stream.read(&mut [0]);
    }
    times.sort();
    Ok(times[count / 2])
}

fn cluster_ip(number: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 96, 0, 0).to_bits() + u32::try_from(number).unwrap_or(0) + 1)
}

/// The Service of this number and its slice; the last endpoint depends on `round`.
fn object(number: usize, endpoints: usize, round: usize) -> Result<(Service, EndpointSlice)> {
    let service = serde_json::from_value(json!({
        "metadata": {"namespace": "default", "name": format!("service-{number}")},
        "spec": {"clusterIP": cluster_ip(number), "ports": [{"name": "http", "port": 80}]}}))?;
    let first = Ipv4Addr::new(11, 0, 0, 0).to_bits() + u32::try_from(number * 64)?;
    let mut addresses: Vec<_> = (0..u32::try_from(endpoints)?).map(|n| Ipv4Addr::from_bits(first + n)).collect();
    if let Some(last) = addresses.last_mut() {
        *last = Ipv4Addr::from_bits(first + 63 - u32::try_from(round % 40)?.min(40));
    }
    Ok((service, slice(number, &addresses)))
}

fn slice(number: usize, addresses: &[Ipv4Addr]) -> EndpointSlice {
    let endpoints = addresses.iter().enumerate().map(|(place, address)| {
        json!({"addresses": [address], "nodeName": format!("node-{}", (number + place) % 100), "conditions": {"ready": true}})
    });
    let name = format!("service-{number}");
    let slice = json!({
        "metadata": {"namespace": "default", "name": name, "labels": {SERVICE_NAME: name}}, "addressType": "IPv4",
        "ports": [{"name": "http", "port": PORT, "protocol": "TCP"}], "endpoints": endpoints.collect::<Vec<_>>()});
    serde_json::from_value(slice).unwrap_or_default()
}

/// A chain for each Service and endpoint, loaded by `nft -f`, and one Service's chain changed.
fn chains(options: &Options) -> Result<()> {
    let mut text = String::from(
        "add table ip chains\nadd chain ip chains nat { type nat hook output priority -100; }\n\
         add map ip chains services { type ipv4_addr . inet_proto . inet_service : verdict; }\n\
         add rule ip chains nat ip daddr . meta l4proto . th dport vmap @services\n",
    );
    for number in 0..options.services {
        let mut all = Vec::new();
        for n in 0..options.endpoints {
            let address = Ipv4Addr::from_bits(Ipv4Addr::new(11, 0, 0, 0).to_bits() + u32::try_from(number * 64 + n)?);
            text += &format!(
                "add chain ip chains e-{number}-{n}\nadd rule ip chains e-{number}-{n} meta l4proto tcp dnat to {address}:80\n"
            );
            all.push(format!("{n} : goto e-{number}-{n}"));
        }
        let (count, all, address) = (all.len(), all.join(", "), cluster_ip(number));
        text += &format!(
            "add chain ip chains s-{number}\nadd rule ip chains s-{number} numgen random mod {count} vmap {{ {all} }}\n"
        );
        text += &format!("add element ip chains services {{ {address} . tcp . 80 : goto s-{number} }}\n");
    }
    let start = Instant::now();
    run("nft", &["-f", "-"], &text)?;
    row("a chain for each: first sync", &millis(start.elapsed()));
    let start = Instant::now();
    run("nft", &["-f", "-"], "flush chain ip chains s-0\nadd rule ip chains s-0 goto e-0-0\n")?;
    row("a chain for each: one service changed", &millis(start.elapsed()));
    Ok(())
}

fn run(program: &str, arguments: &[&str], input: &str) -> Result<()> {
    let mut child = Command::new(program).args(arguments).stdin(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        std::io::Write::write_all(&mut stdin, input.as_bytes())?;
    }
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(format!("{program} {arguments:?}: {status}").into()) }
}

fn row(what: &str, figure: &str) {
    println!("  {what:<42}{figure}");
}
