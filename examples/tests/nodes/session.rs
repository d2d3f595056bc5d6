use std::{
    collections::{BTreeMap, BTreeSet},
    process::Output,
};

use tokio::process::Command;

use crate::{host, program::Folder, state::State};

const MANIFEST: &str = include_str!("../../manifests/nodes.yaml");

struct Kubectl<'a>(&'a Folder);

impl Kubectl<'_> {
    /// Runs a command, whose words have no spaces within.
    async fn output(&self, line: &str) -> Output {
        Command::new("kubectl")
            .args(line.split_whitespace())
            .env("HOME", self.0.path("home"))
            .env("KUBECONFIG", self.0.path("config"))
            .current_dir(self.0.path(""))
            .kill_on_drop(true)
            .output()
            .await
            .expect("kubectl, 1.32 or newer, must be installed")
    }

    /// What a command prints. It must succeed.
    async fn run(&self, line: &str) -> String {
        let output = self.output(line).await;
        let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "kubectl {line}: {}\n{stdout}{stderr}", output.status);
        stdout
    }

    /// What a command says that must fail.
    async fn fails(&self, line: &str) -> String {
        let output = self.output(line).await;
        assert!(!output.status.success(), "kubectl {line} did not fail");
        String::from_utf8(output.stderr).unwrap()
    }

    async fn rolled_out(&self) {
        let said = self.run("rollout status deployment/web --timeout=50s").await;
        assert!(said.ends_with("deployment \"web\" successfully rolled out\n"), "{said}");
    }

    /// The pods that are not about to end, by node.
    async fn pods(&self) -> BTreeMap<String, Vec<String>> {
        let columns = "NODE:.spec.nodeName,NAME:.metadata.name,ENDS:.metadata.deletionTimestamp";
        let mut pods = BTreeMap::<_, Vec<_>>::new();
        for line in self.run(&format!("get pods --no-headers -o custom-columns={columns}")).await.lines() {
            let [node, name, ends] = line.split_whitespace().collect::<Vec<_>>().try_into().unwrap();
            if ends == "<none>" {
                pods.entry(node.to_owned()).or_default().push(name.to_owned());
            }
        }
        pods
    }

    /// What the pod `pod` gets from the Service, in a line.
    async fn ask_service(&self, pod: &str) -> String {
        self.run(&format!("exec {pod} -- wget -q -O - http://web:8080/")).await
    }
}

#[test]
fn kubectl_works_with_pods_on_all_nodes() {
    host::alone(async || {
        let folder = Folder::new();
        std::fs::create_dir(folder.path("home")).unwrap();
        folder.write("nodes.yaml", MANIFEST);
        let before = State::now(&folder.path(""));
        let mut program = folder.start("nodes", "--serve --kubeconfig config");
        while !program.line().await.starts_with("images: ") {}
        let kubectl = Kubectl(&folder);

        kubectl.run("apply -f nodes.yaml").await;
        kubectl.rolled_out().await;
        let first = kubectl.pods().await;
        assert_eq!(nodes(&first), ["node-1", "node-2"]);
        logs_and_exec_reach_pods(&kubectl, &first).await;

        kubectl.run("set env deployment/web COLOR=green").await;
        kubectl.rolled_out().await;
        let second = kubectl.pods().await;
        let names = |pods: &BTreeMap<_, Vec<String>>| pods.values().flatten().cloned().collect::<BTreeSet<_>>();
        assert!(names(&first).is_disjoint(&names(&second)), "{first:?} {second:?}");
        let environment = kubectl.run(&format!("exec {} -- env", second.values().flatten().next().unwrap())).await;
        assert!(environment.contains("\nCOLOR=green\n"), "{environment}");

        let drained = kubectl.run("drain node-1 --timeout=50s").await;
        assert!(drained.ends_with("node/node-1 drained\n"), "{drained}");
        kubectl.rolled_out().await;
        let third = kubectl.pods().await;
        assert_eq!((nodes(&third), third["node-2"].len()), (vec!["node-2"], 4));
        let answer = kubectl.ask_service(&third["node-2"][0]).await;
        assert!(third["node-2"].iter().any(|pod| answer == format!("I am {pod} on node-2\n")), "{answer}");

        kubectl.run("uncordon node-1").await;
        kubectl.run("rollout restart deployment/web").await;
        kubectl.rolled_out().await;
        assert!(nodes(&kubectl.pods().await).contains(&"node-1"), "it takes pods again");

        program.signal("TERM").await;
        assert_eq!(program.exit_code().await, Some(0));
        assert_eq!(State::now(&folder.path("")), before);
    });
}

fn nodes(pods: &BTreeMap<String, Vec<String>>) -> Vec<&str> {
    pods.keys().map(|node| &**node).collect()
}

async fn logs_and_exec_reach_pods(kubectl: &Kubectl<'_>, pods: &BTreeMap<String, Vec<String>>) {
    for (node, pods) in pods {
        for pod in pods {
            let log = kubectl.run(&format!("logs {pod}")).await;
            assert_eq!(log.lines().next(), Some(&*format!("I am {pod} on {node}")), "{log}");
            assert_eq!(kubectl.run(&format!("exec {pod} -- hostname")).await, format!("{pod}\n"));
        }
        let said = kubectl.fails(&format!("exec {} -- no-such-command", pods[0])).await;
        // In containerd's words, within those of the kubelet and those of kubectl, each once.
        let start =
            "error: Internal error occurred: error executing command in container: failed to exec in container: ";
        assert!(
            said.contains(start) && said.contains("exec: \"no-such-command\": executable file not found"),
            "{said}"
        );
    }
}
