//! Datagrams between pods, through a Service by address and by name, while its endpoints come and go.

use std::{
    env,
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    thread,
    time::Duration,
};

use crate::{
    containerd::on_a_node,
    harness::Kubectl,
    machine::{Machine, output},
    program_in_pod::{PROGRAM, pod},
};

const PORT: u16 = 9000;
/// Whom [`ask`] and [`keep_asking`] ask.
const TARGET: &str = "ORCHESTRA_TEST_TARGET";
/// A port that a client keeps.
const OWN_PORT: u16 = 5555;

const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: echo}
spec: {type: NodePort, selector: {app: echo}, ports: [{port: 9000, protocol: UDP, nodePort: 30900}]}
";

fn server(name: &str) -> String {
    pod(name, "{app: echo}", "udp::echo", &[("HOSTNAME", name)])
}

async fn value(kubectl: &Kubectl, of: &str, path: &str) -> String {
    kubectl.run(&format!("get {of} -o jsonpath={path}")).await
}

#[test]
fn datagrams_reach_services_and_follow_their_endpoints() {
    on_a_node(async |node| {
        let machine = Machine::start(node).await;
        let kubectl = &machine.kubectl;
        kubectl.create(SERVICE).await;
        kubectl.create(&server("one")).await;
        kubectl.create(&pod("client", "{}", "udp::wait", &[(TARGET, "")])).await;
        kubectl.run("wait --for=condition=Ready pod/one pod/client --timeout=50s").await;
        let service = value(kubectl, "service echo", "{.spec.clusterIP}").await;
        let one = value(kubectl, "pod one", "{.status.podIP}").await;
        let client = value(kubectl, "pod client", "{.status.podIP}").await;
        for target in [&one, &service, "echo", "echo.default.svc.cluster.local"] {
            let from = format!("exec client -- env {TARGET}={target}:{PORT}");
            let said = kubectl.run(&format!("{from} {PROGRAM} --exact udp::ask --ignored --nocapture")).await;
            assert!(said.contains(&format!("one answers {client}\n")), "{target}: {said}");
        }
        let program = env::current_exe().unwrap();
        let by_port = format!(
            "netns exec outside env {TARGET}=192.0.2.1:30900 {} --exact udp::ask --ignored --nocapture",
            program.display()
        );
        assert!(output("ip", &by_port).contains("one answers "), "from outside, by the node's port");

        // A client that keeps its port is led to who is there, though it never stops asking.
        let target = format!("{service}:{PORT}");
        kubectl.create(&pod("steady", "{}", "udp::keep_asking", &[(TARGET, &target)])).await;
        kubectl.run("wait --for=condition=Ready pod/steady --timeout=50s").await;
        let mut steady = kubectl.watch("logs -f steady");
        steady.line_with(&["one answers"]).await;
        kubectl.create(&server("two")).await;
        kubectl.run("wait --for=condition=Ready pod/two --timeout=50s").await;
        kubectl.run("delete pod one").await;
        steady.line_with(&["two answers"]).await;
        kubectl.run("delete pod two").await;
        steady.line_with(&["refused"]).await;
        kubectl.create(&server("three")).await;
        steady.line_with(&["three answers"]).await;
        machine.end().await;
    });
}

#[test]
#[ignore = "it is what a container of the tests runs"]
fn echo() {
    let Ok(name) = env::var("HOSTNAME") else { return };
    let socket = UdpSocket::bind(("0.0.0.0", PORT)).unwrap();
    loop {
        let (_, from) = socket.recv_from(&mut [0; 64]).unwrap();
        let _ = socket.send_to(format!("{name} answers {}\n", from.ip()).as_bytes(), from);
    }
}

#[test]
#[ignore = "it is what a container of the tests runs"]
fn wait() {
    if env::var_os(TARGET).is_some() {
        loop {
            thread::park();
        }
    }
}

/// Prints the answer. As a datagram may be lost, it asks until there is one.
#[test]
#[ignore = "it is what a container of the tests runs"]
fn ask() {
    let Ok(target) = env::var(TARGET) else { return };
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    while !is_answered(&socket, &target) {}
}

/// The same from one port, and on and on.
#[test]
#[ignore = "it is what a container of the tests runs"]
fn keep_asking() {
    let Ok(target) = env::var(TARGET) else { return };
    let target: SocketAddr = target.parse().unwrap();
    let socket = UdpSocket::bind(("0.0.0.0", OWN_PORT)).unwrap();
    loop {
        is_answered(&socket, &target.to_string());
        thread::sleep(Duration::from_millis(50));
    }
}

fn is_answered(socket: &UdpSocket, target: &str) -> bool {
    socket.connect(target).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut answer = [0; 64];
    let received = socket.send(b"?").and_then(|_| socket.recv(&mut answer));
    match &received {
        Ok(length) => print!("{}", String::from_utf8_lossy(&answer[..*length])),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => println!("refused"),
        Err(error) => println!("silence: {error}"),
    }
    received.is_ok()
}
