//! Messages of every kind, good and bad, by UDP and TCP.

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query, ResponseCode},
    rr::{
        DNSClass,
        RecordType::{A, AXFR},
    },
};
use serde_json::{Value, json};

use super::{
    ask::{Connection, exchange, question, question_with_edns, send},
    world::World,
};

const KUBERNETES: &str = "kubernetes.default.svc.cluster.local.";

async fn with_endpoints(count: u8) -> World {
    let world = World::start().await;
    world.service("many", json!({"clusterIP": "None", "ports": [{"port": 80, "name": "http"}]})).await;
    let endpoints: Vec<Value> =
        (1..=count).map(|number| json!({"addresses": [format!("10.244.0.{number}")]})).collect();
    world.slice("many", json!([{"name": "http", "port": 80, "protocol": "TCP"}]), endpoints.into()).await;
    let mut question = question("many.default.svc.cluster.local.", A);
    loop {
        let all = Connection::open(world.server).await.send(&question).await;
        if all.answers.len() == usize::from(count) {
            return world;
        }
        question.metadata.id += 1;
    }
}

#[tokio::test]
async fn what_does_not_fit_is_cut_off_and_found_by_tcp() {
    let world = with_endpoints(100).await;
    let name = "many.default.svc.cluster.local.";
    for (message, size) in
        [(question(name, A), 512), (question_with_edns(name, A, 1_232), 1_232), (question_with_edns(name, A, 100), 512)]
    {
        let bytes = exchange(world.server, &message.to_vec().unwrap()).await;
        let answer = Message::from_vec(&bytes).unwrap();
        assert!(answer.metadata.truncation, "{size}");
        assert!(bytes.len() <= size && bytes.len() > size - 64, "{} of {size}", bytes.len());
        assert_eq!(answer.edns.is_some(), message.edns.is_some());
    }
    let whole = send(world.server, &question_with_edns(name, A, 4_096)).await;
    assert_eq!((whole.answers.len(), whole.metadata.truncation), (100, false));
    let whole = Connection::open(world.server).await.send(&question(name, A)).await;
    assert_eq!((whole.answers.len(), whole.metadata.truncation), (100, false));
    world.running.stop().await;
}

#[tokio::test]
async fn addresses_that_are_only_helpful_are_left_out_before_anything_is_cut_off() {
    let world = with_endpoints(7).await;
    let name = "_http._tcp.many.default.svc.cluster.local.";
    let srv = hickory_proto::rr::RecordType::SRV;
    let answer = send(world.server, &question(name, srv)).await;
    assert_eq!((answer.answers.len(), answer.additionals.len(), answer.metadata.truncation), (7, 0, false));
    let answer = send(world.server, &question_with_edns(name, srv, 1_232)).await;
    assert_eq!((answer.answers.len(), answer.additionals.len()), (7, 7));
    world.running.stop().await;
}

#[tokio::test]
async fn one_connection_takes_many_questions() {
    let world = World::start().await;
    let mut connection = Connection::open(world.server).await;
    let asked = question(KUBERNETES, A);
    // All at once, before the first answer.
    for id in 0..20 {
        let mut asked = asked.clone();
        asked.metadata.id = id;
        connection.write(&asked.to_vec().unwrap()).await;
    }
    for id in 0..20 {
        let answer = connection.read().await;
        assert_eq!((answer.metadata.id, answer.answers.len()), (id, 1));
    }
    world.running.stop().await;
}

#[tokio::test]
async fn an_answer_is_to_the_question_as_it_was_put() {
    let world = World::start().await;
    let mixed = "kUBERNETES.default.SVC.cluster.LOCAL.";
    let answer = world.ask(mixed, A).await;
    assert_eq!(answer.queries[0].name().to_ascii(), mixed);
    assert_eq!(answer.answers[0].name.to_ascii(), mixed);
    let metadata = answer.metadata;
    assert_eq!((metadata.id, metadata.message_type, metadata.authoritative), (4711, MessageType::Response, true));
    assert!(metadata.recursion_desired && !metadata.recursion_available);
    world.running.stop().await;
}

#[tokio::test]
async fn what_is_not_served_is_said_so() {
    let world = World::start().await;
    let mut update = question(KUBERNETES, A);
    update.metadata.op_code = OpCode::Update;
    let mut two = question(KUBERNETES, A);
    two.add_query(Query::query("a.example.".parse().unwrap(), A));
    let mut none = question(KUBERNETES, A);
    none.queries.clear();
    let mut chaos = question(KUBERNETES, A);
    chaos.queries[0].set_query_class(DNSClass::CH);
    let mut future = question(KUBERNETES, A);
    let mut edns = Edns::new();
    edns.set_version(1);
    future.set_edns(edns);
    for (message, code) in [
        (update, ResponseCode::NotImp),
        (two, ResponseCode::FormErr),
        (none, ResponseCode::FormErr),
        (chaos, ResponseCode::Refused),
        (future, ResponseCode::BADVERS),
        (question("cluster.local.", AXFR), ResponseCode::Refused),
        (question("www.example.com.", A), ResponseCode::Refused),
    ] {
        let answer = send(world.server, &message).await;
        // BADVERS and BADSIG are one number.
        assert_eq!(u16::from(answer.metadata.response_code), u16::from(code), "{message}");
        assert_eq!(answer.metadata.id, 4711);
    }
    world.running.stop().await;
}

#[tokio::test]
async fn what_is_no_request_gets_no_answer_and_what_is_broken_is_said_to_be() {
    let world = World::start().await;
    let good = question(KUBERNETES, A).to_vec().unwrap();
    let mut response = good.clone();
    response[2] |= 0x80;
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(world.server).await.unwrap();
    for ignored in [&b""[..], b"\0", &good[..11], &response] {
        socket.send(ignored).await.unwrap();
    }
    let mut broken = good[..good.len() - 3].to_vec();
    broken[..2].copy_from_slice(&[1, 2]);
    socket.send(&broken).await.unwrap();
    let mut buffer = [0; 512];
    let length = socket.recv(&mut buffer).await.unwrap();
    let answer = Message::from_vec(&buffer[..length]).unwrap();
    // The first answer is to the last message: there was none to those before.
    assert_eq!((answer.metadata.id, answer.metadata.response_code), (0x0102, ResponseCode::FormErr));
    let mut connection = Connection::open(world.server).await;
    connection.write(&response).await;
    assert!(connection.has_ended().await);
    world.running.stop().await;
}

/// Bytes that follow from a number.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
}

#[tokio::test]
async fn no_message_however_mangled_stops_the_server() {
    let world = World::start().await;
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(world.server).await.unwrap();
    let good = question_with_edns("_https._tcp.kubernetes.default.svc.cluster.local.", A, 1_232).to_vec().unwrap();
    let mut noise = Noise(7);
    for round in 0..20_000_u64 {
        let mut bytes = if round % 4 == 0 { vec![0; (noise.next() % 80) as usize] } else { good.clone() };
        for _ in 0..=noise.next() % 6 {
            if let Some(place) = (noise.next() as usize).checked_rem(bytes.len()) {
                bytes[place] = noise.next() as u8;
            }
        }
        if round % 4 == 0 {
            bytes.iter_mut().for_each(|byte| *byte = noise.next() as u8);
        }
        socket.send(&bytes).await.unwrap();
        if round % 500 == 0 {
            assert_eq!(world.ask(KUBERNETES, A).await.answers.len(), 1);
        }
    }
    assert_eq!(world.ask(KUBERNETES, A).await.answers.len(), 1);
    // It would be an error here if a task had panicked.
    world.running.stop().await;
}
