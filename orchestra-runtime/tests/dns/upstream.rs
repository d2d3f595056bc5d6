//! What is none of the cluster's is asked of other servers.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{
        Name, RData, Record,
        RecordType::{A, AAAA, PTR},
        rdata::{A as Address, PTR as Pointer},
    },
};
use orchestra_runtime::dns::Upstream;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
};

use super::{
    ask::{Connection, question, send, summary},
    world::World,
};

/// A server elsewhere, which ends with the test.
struct Elsewhere {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Elsewhere {
    /// Answers by `answer`; not at all where that is `None`.
    async fn start(answer: fn(Message) -> Option<Message>) -> Self {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = udp.local_addr().unwrap();
        let tcp = TcpListener::bind(address).await.unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut buffer = [0; 4_096];
            loop {
                let (length, client) = udp.recv_from(&mut buffer).await.unwrap();
                counter.fetch_add(1, Ordering::Relaxed);
                if let Some(mut answer) = answer(Message::from_vec(&buffer[..length]).unwrap()) {
                    if answer.answers.len() > 3 {
                        answer.answers.clear();
                        answer.metadata.truncation = true;
                    }
                    udp.send_to(&answer.to_vec().unwrap(), client).await.unwrap();
                }
            }
        });
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = tcp.accept().await.unwrap();
                let mut bytes = vec![0; stream.read_u16().await.unwrap().into()];
                stream.read_exact(&mut bytes).await.unwrap();
                if let Some(answer) = answer(Message::from_vec(&bytes).unwrap()) {
                    let bytes = answer.to_vec().unwrap();
                    stream.write_u16(bytes.len() as u16).await.unwrap();
                    stream.write_all(&bytes).await.unwrap();
                }
            }
        });
        Self { address, asked }
    }
}

/// Knows `www.example.com`, `many.example.com`, and who 192.0.2.1 is.
fn example(asked: Message) -> Option<Message> {
    let query = asked.queries[0].clone();
    let mut answer = asked.into_response();
    answer.metadata.recursion_available = true;
    let name = query.name().clone();
    let data: Vec<RData> = match (name.to_ascii().to_lowercase().as_str(), query.query_type()) {
        ("www.example.com.", A) => vec![RData::A(Address::new(192, 0, 2, 1))],
        ("www.example.com.", _) => Vec::new(),
        ("many.example.com.", A) => (1..=5).map(|last| RData::A(Address::new(192, 0, 2, last))).collect(),
        ("1.2.0.192.in-addr.arpa.", PTR) => vec![RData::PTR(Pointer(Name::from_ascii("www.example.com.").unwrap()))],
        _ => {
            answer.metadata.response_code = ResponseCode::NXDomain;
            Vec::new()
        }
    };
    answer.add_answers(data.into_iter().map(|data| Record::from_rdata(name.clone(), 60, data)));
    Some(answer)
}

fn silent(_: Message) -> Option<Message> {
    None
}

/// An answer that somebody else might send, to another question.
fn forged(asked: Message) -> Option<Message> {
    let mut answer = example(asked)?;
    answer.queries[0].set_name(Name::from_ascii("other.example.com.").unwrap());
    Some(answer)
}

async fn world(servers: &[&Elsewhere]) -> World {
    let servers = servers.iter().map(|server| server.address).collect();
    World::with(|dns| dns.upstream(Upstream::Servers(servers))).await
}

#[tokio::test]
async fn other_names_are_asked_of_others_and_what_they_say_is_passed_on() {
    let elsewhere = Elsewhere::start(example).await;
    let world = world(&[&elsewhere]).await;
    let answer = world.ask("www.example.com.", A).await;
    assert_eq!(summary(&answer), "www.example.com. 60 A 192.0.2.1");
    assert!(answer.metadata.recursion_available && !answer.metadata.authoritative);
    assert_eq!(answer.metadata.id, 4711);
    assert_eq!(world.told("missing.example.com.", A).await, "NXDOMAIN");
    assert_eq!(world.told("www.example.com.", AAAA).await, "NODATA");
    // What does not fit is asked for again, by TCP.
    assert!(world.ask("many.example.com.", A).await.metadata.truncation);
    let whole = Connection::open(world.server).await.send(&question("many.example.com.", A)).await;
    assert_eq!(whole.answers.len(), 5);
    world.running.stop().await;
}

#[tokio::test]
async fn questions_about_the_cluster_are_asked_of_nobody() {
    let elsewhere = Elsewhere::start(example).await;
    let world = world(&[&elsewhere]).await;
    assert_eq!(world.told("www.default.svc.cluster.local.", A).await, "NXDOMAIN");
    assert_eq!(
        world.told("1.0.96.10.in-addr.arpa.", PTR).await,
        "1.0.96.10.in-addr.arpa. 30 PTR kubernetes.default.svc.cluster.local."
    );
    assert_eq!(elsewhere.asked.load(Ordering::Relaxed), 0);
    // Addresses that nothing in the cluster has are others'.
    assert_eq!(world.told("1.2.0.192.in-addr.arpa.", PTR).await, "1.2.0.192.in-addr.arpa. 60 PTR www.example.com.");
    world.running.stop().await;
}

#[tokio::test]
async fn an_external_name_is_followed_to_where_it_leads() {
    let elsewhere = Elsewhere::start(example).await;
    let world = world(&[&elsewhere]).await;
    world.service("docs", json!({"type": "ExternalName", "externalName": "www.example.com"})).await;
    world.service("many", json!({"type": "ExternalName", "externalName": "many.example.com"})).await;
    world.service("gone", json!({"type": "ExternalName", "externalName": "gone.example.com"})).await;
    let cname = |name: &str, target: &str| format!("{name}.default.svc.cluster.local. 30 CNAME {target}.example.com.");
    let docs = format!("{}, www.example.com. 60 A 192.0.2.1", cname("docs", "www"));
    world.until_told("docs.default.svc.cluster.local.", A, &docs).await;
    let answer = world.ask("docs.default.svc.cluster.local.", A).await;
    assert_eq!(answer.answers[0].record_type(), hickory_proto::rr::RecordType::CNAME);
    assert_eq!(world.told("docs.default.svc.cluster.local.", AAAA).await, cname("docs", "www"));
    // Cut off elsewhere, but not here.
    world.until("many.default.svc.cluster.local.", A, |message| message.answers.len() == 6).await;
    let gone = format!("NXDOMAIN {}", cname("gone", "gone"));
    world.until_told("gone.default.svc.cluster.local.", A, &gone).await;
    world.running.stop().await;
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_not_waited_for_twice() {
    let (dead, elsewhere) = (Elsewhere::start(silent).await, Elsewhere::start(example).await);
    let world = world(&[&dead, &elsewhere]).await;
    for _ in 0..30 {
        assert_eq!(world.told("www.example.com.", A).await, "www.example.com. 60 A 192.0.2.1");
    }
    assert!(dead.asked.load(Ordering::Relaxed) <= 1 + 30 / 5);
    world.running.stop().await;
}

#[tokio::test]
async fn when_none_answers_the_server_has_failed() {
    let (dead, liar) = (Elsewhere::start(silent).await, Elsewhere::start(forged).await);
    let world = world(&[&dead, &liar]).await;
    assert_eq!(world.told("www.example.com.", A).await, "SERVFAIL");
    assert!(dead.asked.load(Ordering::Relaxed) > 0 && liar.asked.load(Ordering::Relaxed) > 0);
    world.running.stop().await;
}

#[tokio::test]
async fn it_does_not_ask_itself() {
    let reserved = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let own = reserved.local_addr().unwrap();
    drop(reserved);
    let client = super::world::api_server().await;
    let dns = orchestra_runtime::dns::ClusterDns::builder(client).listen(own).upstream(Upstream::Servers(vec![own]));
    let running = super::world::Running::start(dns.build().unwrap());
    let answer = send(own, &question("www.example.com.", A)).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::Refused);
    running.stop().await;
}

#[tokio::test]
async fn the_servers_of_a_resolv_conf_are_on_the_port_of_dns() {
    let file = std::env::temp_dir().join(format!("orchestra-dns-{}.conf", std::process::id()));
    std::fs::write(&file, "search example\nnameserver 127.0.0.77\n").unwrap();
    let upstream = Upstream::ResolvConf(file.to_string_lossy().into_owned());
    let world = World::with(|dns| dns.upstream(upstream)).await;
    std::fs::remove_file(&file).unwrap();
    // Nobody is there, which is told at once, and that somebody was asked.
    assert_eq!(world.told("www.example.com.", A).await, "SERVFAIL");
    assert!(world.ask("kubernetes.default.svc.cluster.local.", A).await.metadata.recursion_available);
    world.running.stop().await;
}
