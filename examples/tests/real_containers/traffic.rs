//! Requests over real sockets: between pods, through Services by address and by name, from the node and from outside.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

use crate::{
    containerd::on_a_node,
    harness::Kubectl,
    machine::{Machine, output},
};

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many requests are under way at a time while pods are replaced.
const WORKERS: usize = 4;

/// Three pods that serve: their name at `/`, where the request comes from at `/cgi-bin/from`. They end as Kubernetes' documentation
/// advises: they serve on for as long as it may take until nobody is led to them.
const WEB: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: registry.test/busybox
        command:
        - sh
        - -c
        - |
          mkdir -p /tmp/web/cgi-bin
          hostname >/tmp/web/index.html
          cat >/tmp/web/cgi-bin/from <<'END'
          #!/bin/sh
          echo "Content-Type: text/plain"
          echo
          # IPv4's as IPv6 writes them: [::ffff:10.1.2.3]
          echo $REMOTE_ADDR | tr -d '[]' | sed 's/::ffff://'
          END
          chmod +x /tmp/web/cgi-bin/from
          trap 'exit 0' TERM
          httpd -f -p 80 -h /tmp/web & wait
        readinessProbe: {httpGet: {port: 80, path: /}, periodSeconds: 1}
        lifecycle: {preStop: {sleep: {seconds: 3}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80}]
---
apiVersion: v1
kind: Service
metadata: {name: sticky}
spec: {selector: {app: web}, ports: [{port: 80}], sessionAffinity: ClientIP}
---
apiVersion: v1
kind: Service
metadata: {name: outside}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, nodePort: 30080}]}
---
apiVersion: v1
kind: Service
metadata: {name: local}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, nodePort: 30081}], externalTrafficPolicy: Local}
---
apiVersion: v1
kind: Service
metadata: {name: headless}
spec: {selector: {app: web}, ports: [{port: 80}], clusterIP: None}
"#;

async fn started(machine: &Machine) {
    let kubectl = &machine.kubectl;
    kubectl.create(WEB).await;
    kubectl.run("run client --image=registry.test/forever").await;
    kubectl.run("rollout status deployment/web --timeout=50s").await;
    kubectl.run("wait --for=condition=Ready pod/client --timeout=50s").await;
}

async fn value(kubectl: &Kubectl, of: &str, path: &str) -> String {
    kubectl.run(&format!("get {of} -o jsonpath={path}")).await
}

#[test]
fn pods_and_services_are_reached_from_everywhere() {
    on_a_node(async |node| {
        let machine = Machine::start(node).await;
        started(&machine).await;
        let kubectl = &machine.kubectl;
        let names = value(kubectl, "pods -l app=web", "{.items[*].metadata.name}").await;
        let names: BTreeSet<&str> = names.split(' ').collect();
        assert_eq!(names.len(), 3, "{names:?}");
        let from_pod = async |url: &str| {
            let line = format!("exec client -- timeout 5 wget -q -O - http://{url}");
            kubectl.run(&line).await.trim_end().to_owned()
        };

        let pod = value(kubectl, "pods -l app=web", "{.items[0].status.podIP}").await;
        assert!(names.contains(&*from_pod(&pod).await), "by the pod's address");
        let service = value(kubectl, "service web", "{.spec.clusterIP}").await;
        for url in [&*service, "web", "web.default", "web.default.svc.cluster.local", "headless", "outside"] {
            assert!(names.contains(&*from_pod(url).await), "{url}");
        }
        let client = value(kubectl, "pod client", "{.status.podIP}").await;
        assert_eq!(from_pod("web/cgi-bin/from").await, client, "pods are seen by their own addresses");

        let mut sticky = BTreeSet::new();
        for _ in 0..10 {
            sticky.insert(from_pod("sticky").await);
        }
        assert_eq!(sticky.len(), 1, "{sticky:?}");

        let address = SocketAddr::new(service.parse().unwrap(), 80);
        all_answer(address, &names).await;
        let port = SocketAddr::new(Ipv4Addr::new(192, 0, 2, 1).into(), 30080);
        assert!(names.contains(get(port, "/").await.unwrap().trim_end()), "from the node, by its port");
        let names_service = value(kubectl, "service kube-dns -n kube-system", "{.spec.clusterIP}").await;
        let answer = ask(SocketAddr::new(names_service.parse().unwrap(), 53), "web.default.svc.cluster.local").await;
        assert_eq!(answer.to_string(), service, "by UDP");

        let from_outside = |url: &str| {
            output("ip", &format!("netns exec outside busybox timeout 5 busybox wget -q -O - http://{url}"))
        };
        assert!(names.contains(from_outside("192.0.2.1:30080").trim_end()), "from outside");
        assert_eq!(from_outside("192.0.2.1:30081/cgi-bin/from"), "192.0.2.9\n", "a local policy keeps the source");
        assert_ne!(from_outside("192.0.2.1:30080/cgi-bin/from"), "192.0.2.9\n", "any other does not");

        kubectl.run("scale deployment/web --replicas=0").await;
        kubectl.run("wait --for=delete pod -l app=web --timeout=50s").await;
        // As long as they end they are led to; for a moment after that, nobody answers.
        let refused = async {
            while get(address, "/").await != Err("Connection refused (os error 111)".to_owned()) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(4 * PATIENCE, refused).await.expect("a Service without endpoints refuses");
        machine.end().await;
    });
}

#[test]
fn a_rolling_update_under_load_fails_no_request() {
    on_a_node(async |node| {
        let machine = Machine::start(node).await;
        started(&machine).await;
        let kubectl = &machine.kubectl;
        let service: Ipv4Addr = value(kubectl, "service web", "{.spec.clusterIP}").await.parse().unwrap();
        let targets = [(service, 80), (Ipv4Addr::new(192, 0, 2, 1), 30080)];
        let old = value(kubectl, "pods -l app=web", "{.items[*].metadata.name}").await;
        for target in targets {
            all_answer(target.into(), &old.split(' ').collect()).await;
        }
        let done = Arc::new(AtomicBool::new(false));
        let workers = (0..WORKERS).map(|number| {
            let (done, target) = (Arc::clone(&done), targets[number % targets.len()]);
            tokio::spawn(async move {
                let (mut answers, mut failures) = (BTreeSet::new(), Vec::new());
                while !done.load(Ordering::Relaxed) {
                    match get(target.into(), "/").await {
                        Ok(name) => drop(answers.insert(name)),
                        Err(error) => failures.push(error),
                    }
                }
                (answers, failures)
            })
        });
        let workers: Vec<_> = workers.collect();
        kubectl.run("rollout restart deployment/web").await;
        kubectl.run("rollout status deployment/web --timeout=50s").await;
        // The last of the old pods serve until they end.
        while value(kubectl, "pods -l app=web", "{.items[*].metadata.name}").await.split(' ').count() > 3 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        done.store(true, Ordering::Relaxed);
        let mut answers = BTreeSet::new();
        for worker in workers {
            let (names, failures) = worker.await.unwrap();
            assert_eq!(failures, Vec::<String>::new());
            answers.extend(names);
        }
        let new = value(kubectl, "pods -l app=web", "{.items[*].metadata.name}").await;
        let all: BTreeSet<&str> = old.split(' ').chain(new.split(' ')).collect();
        assert_eq!(
            answers.iter().map(|name| name.trim_end()).collect::<BTreeSet<_>>(),
            all,
            "old and new pods answered"
        );
        machine.end().await;
    });
}

/// Waits until each of the pods answered there, and nobody else did. The proxy, which changes its rules once a second at most, may have yet to
/// hear of the last that came.
async fn all_answer(address: SocketAddr, names: &BTreeSet<&str>) {
    let mut answered = BTreeSet::new();
    let all = async {
        while answered.len() < names.len() {
            match get(address, "/").await {
                Ok(name) => drop(answered.insert(name.trim_end().to_owned())),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let in_time = timeout(4 * PATIENCE, all).await;
    assert_eq!(answered.iter().map(String::as_str).collect::<BTreeSet<_>>(), *names, "{address}: {in_time:?}");
}

/// The body of the answer, or what went wrong.
async fn get(address: SocketAddr, path: &str) -> Result<String, String> {
    let request = async {
        let mut connection = TcpStream::connect(address).await?;
        connection.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        Ok(answer)
    };
    let answer = timeout(PATIENCE, request).await.map_err(|_| "no answer".to_owned())?;
    let answer = answer.map_err(|error: std::io::Error| error.to_string())?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.contains(" 200 ") => Ok(body.to_owned()),
        _ => Err(answer),
    }
}

/// The address that a server of names tells, asked over UDP (RFC 1035). As a datagram may be lost, it asks until there is an answer.
async fn ask(server: SocketAddr, name: &str) -> Ipv4Addr {
    let mut question = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        question.push(u8::try_from(label.len()).unwrap());
        question.extend(label.as_bytes());
    }
    question.extend([0, 0, 1, 0, 1]);
    let answer = async {
        let mut answer = [0; 512];
        loop {
            let socket = UdpSocket::bind("0.0.0.0:0").await.unwrap();
            socket.connect(server).await.unwrap();
            socket.send(&question).await.unwrap();
            if let Ok(Ok(size)) = timeout(Duration::from_secs(1), socket.recv(&mut answer)).await {
                // One record, whose data are the address and come last.
                assert_eq!(answer[..8], [0, 7, answer[2], answer[3] & 0xf0, 0, 1, 0, 1]);
                return <[u8; 4]>::try_from(&answer[size - 4..size]).unwrap().into();
            }
        }
    };
    timeout(PATIENCE, answer).await.expect("an answer")
}
