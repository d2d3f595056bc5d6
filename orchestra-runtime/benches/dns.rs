//! Questions about a cluster of a thousand Services, by UDP of the loopback device: one after the other, and many at a time.

use std::{net::SocketAddr, time::Duration};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures::future::join_all;
use hickory_proto::{
    op::{Message, MessageType, OpCode, Query},
    rr::{Name, RecordType},
};
use k8s_openapi::api::core::v1::Service;
use kube::{Api, api::PostParams};
use orchestra_runtime::{
    Cluster,
    dns::{ClusterDns, Upstream},
};
use serde_json::json;
use tokio::{net::UdpSocket, runtime::Runtime, time::timeout};
use tokio_util::sync::CancellationToken;

const SERVICES: usize = 1_000;
const CLIENTS: usize = 64;

fn question() -> Vec<u8> {
    let name = Name::from_ascii(format!("service-{}.default.svc.cluster.local.", SERVICES - 1)).expect("a name");
    let mut message = Message::new(1, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(name, RecordType::A));
    message.to_vec().expect("a message")
}

async fn connected(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    socket.connect(server).await.expect("a server");
    socket
}

async fn ask(client: &UdpSocket, question: &[u8]) -> bool {
    let mut buffer = [0; 512];
    client.send(question).await.expect("it can be sent");
    match timeout(Duration::from_secs(1), client.recv(&mut buffer)).await {
        Ok(Ok(length)) => buffer[..length].get(3).is_some_and(|flags| flags & 0xf == 0),
        _ => false,
    }
}

/// A cluster with a server that knows all of its Services.
async fn server() -> (Cluster, SocketAddr) {
    let cluster = Cluster::builder().nodes(0).start().await.expect("a cluster");
    let services = Api::<Service>::default_namespaced(cluster.client());
    for number in 0..SERVICES {
        let service = json!({"metadata": {"name": format!("service-{number}")}, "spec": {"ports": [{"port": 80}]}});
        let service = serde_json::from_value(service).expect("a Service");
        services.create(&PostParams::default(), &service).await.expect("it can be created");
    }
    let dns = ClusterDns::builder(cluster.client()).upstream(Upstream::None).listen(([127, 0, 0, 1], 0).into());
    let dns = dns.build().expect("a free port");
    let server = dns.addresses()[0];
    tokio::spawn(dns.run(CancellationToken::new()));
    let client = connected(server).await;
    while !ask(&client, &question()).await {}
    (cluster, server)
}

fn questions(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let (_cluster, server) = runtime.block_on(server());
    let question = question();
    let mut group = criterion.benchmark_group("dns");
    group.throughput(Throughput::Elements(1)).bench_function("one client", |bencher| {
        let client = runtime.block_on(connected(server));
        bencher.to_async(&runtime).iter(|| ask(&client, &question));
    });
    group.throughput(Throughput::Elements(CLIENTS as u64)).bench_function("64 clients", |bencher| {
        let clients = runtime.block_on(join_all((0..CLIENTS).map(|_| connected(server))));
        bencher.to_async(&runtime).iter(|| join_all(clients.iter().map(|client| ask(client, &question))));
    });
    group.finish();
}

criterion_group!(benches, questions);
criterion_main!(benches);
