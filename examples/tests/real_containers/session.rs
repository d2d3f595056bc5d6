//! What a user of kubectl does with pods, one after the other.

use std::{fs, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
};

use crate::{
    containerd::on_a_node,
    harness::{Kubectl, holds},
    machine::Machine,
};

#[test]
fn logs_commands_and_files() {
    on_a_node(async |node| {
        let machine = Machine::start(node).await;
        machine.web().await;
        let kubectl = &machine.kubectl;

        let script = "for i in 1 2 3; do echo line-$i; done; while :; do date; sleep 0.1; done";
        kubectl.create(&pod("talker", "registry.test/busybox", script)).await;
        kubectl.run("wait --for=condition=Ready pod/talker --timeout=50s").await;
        let mut follow = kubectl.watch("logs -f talker");
        follow.line_with(&["line-3"]).await;
        follow.line_with(&["UTC"]).await;
        let stamped = kubectl.run("logs talker --timestamps --tail=1").await;
        assert!(holds(&stamped, &["T", "Z ", "UTC"]) && stamped.lines().count() == 1, "{stamped}");

        assert_eq!(kubectl.run("exec web -- hostname").await, "web\n");
        let both = ("LC_ALL", "C");
        let (code, out, err) =
            kubectl.run_with(both, "exec -i web -- sh", "cat /etc/hostname; echo bad >&2; exit 5").await;
        assert_eq!((code, out.as_str()), (Some(5), "web\n"));
        assert!(err.contains("bad\n") && err.contains("command terminated with exit code 5"), "{err}");
        let said = terminal(kubectl, "exec -it web -- sh", "tty; stty size; exit 3\n").await;
        assert!(holds(&said, &["/dev/pts/0", "24 80"]), "{said}");

        fs::write(kubectl.home().join("up"), "x".repeat(3 << 20)).unwrap();
        fs::create_dir_all(kubectl.home().join("folder/inner")).unwrap();
        fs::write(kubectl.home().join("folder/inner/file"), "in a folder").unwrap();
        kubectl.run("cp up web:/tmp/up").await;
        assert_eq!(kubectl.run("exec web -- wc -c /tmp/up").await, "3145728 /tmp/up\n");
        kubectl.run("cp folder web:/tmp/folder").await;
        assert_eq!(kubectl.run("exec web -- cat /tmp/folder/inner/file").await, "in a folder");
        kubectl.run("cp web:/tmp/up down").await;
        assert_eq!(fs::metadata(kubectl.home().join("down")).unwrap().len(), 3 << 20);
        kubectl.run("cp web:/tmp/folder back").await;
        assert_eq!(fs::read_to_string(kubectl.home().join("back/inner/file")).unwrap(), "in a folder");

        machine.end().await;
    });
}

#[test]
fn ports_input_and_debugging() {
    on_a_node(async |node| {
        let machine = Machine::start(node).await;
        machine.web().await;
        let kubectl = &machine.kubectl;

        let mut forward = kubectl.watch("port-forward pod/web :80");
        let line = forward.line_with(&["Forwarding from 127.0.0.1:", "-> 80"]).await;
        let port = line.split([':', ' ']).nth(3).unwrap().parse().unwrap();
        for _ in 0..3 {
            assert_eq!(http_get(port).await, "web\n");
        }

        let script = "while read line; do echo heard $line; [ $line = end ] && exit 0; done";
        let file = kubectl.manifest(&input_pod("listener", script));
        kubectl.run(&format!("apply -f {file}")).await;
        kubectl.run("wait --for=condition=Ready pod/listener --timeout=50s").await;
        let (code, out, err) = kubectl.run_with(("LC_ALL", "C"), "attach -i listener", "one\nend\n").await;
        assert_eq!(code, Some(0), "{err}");
        assert!(holds(&out, &["heard one", "heard end"]), "{out}");

        let line = "run passing -i --rm --restart=Never --image=registry.test/busybox --quiet -- tr a-z A-Z";
        let (code, out, err) = kubectl.run_with(("LC_ALL", "C"), line, "through a pod\n").await;
        assert_eq!((code, out.as_str()), (Some(0), "THROUGH A POD\n"), "{err}");

        let debug = "debug web --image=registry.test/busybox --target=web -c peek -- sh -c ps;hostname;sleep${IFS}1000";
        kubectl.run(debug).await;
        let running = "jsonpath={.status.ephemeralContainerStatuses[0].state.running.startedAt}";
        kubectl.run(&format!("wait --for={running} pod/web --timeout=50s")).await;
        kubectl.watch("logs -f web -c peek").line_with(&["httpd -f -p 80"]).await;
        let copy = "debug web --image=registry.test/busybox --copy-to=web-copy --share-processes -c tool -- sleep 1000";
        kubectl.run(copy).await;
        kubectl.run("wait --for=condition=Ready pod/web-copy --timeout=50s").await;
        let processes = kubectl.run("exec web-copy -c tool -- ps").await;
        assert!(holds(&processes, &["httpd -f -p 80"]), "{processes}");
        let said =
            terminal(kubectl, "debug node/node -it --image=registry.test/busybox", "ls -d /host/usr; exit\n").await;
        assert!(holds(&said, &["Creating debugging pod node-debugger-node-", "/host/usr"]), "{said}");

        let pods = loop {
            let (code, out, _) = kubectl.run_with(("LC_ALL", "C"), "top pods --containers", "").await;
            if code == Some(0) && holds(&out, &["web", "web "]) {
                break out;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        assert!(holds(&pods, &["POD", "NAME", "CPU(cores)", "MEMORY(bytes)", "web"]), "{pods}");
        let of_node = kubectl.run("top node").await;
        assert!(holds(&of_node, &["NAME", "CPU(cores)", "node"]), "{of_node}");

        machine.end().await;
    });
}

#[test]
fn pods_end_with_the_grace_that_they_have() {
    on_a_node(async |node| {
        let machine = Machine::start(node).await;
        machine.web().await;
        let kubectl = &machine.kubectl;
        let script = "trap 'echo told; sleep 1; echo done; exit 0' TERM; while :; do sleep 0.1; done";
        kubectl.create(&pod("polite", "registry.test/busybox", script)).await;
        kubectl.create(&pod("deaf", "registry.test/stubborn", "trap '' TERM; while :; do sleep 1; done")).await;
        kubectl.run("wait --for=condition=Ready pod/polite pod/deaf --timeout=50s").await;
        let mut follow = kubectl.watch("logs -f polite");
        assert_eq!(kubectl.run("delete pod polite --grace-period=20").await, "pod \"polite\" deleted\n");
        follow.line_with(&["told"]).await;
        follow.line_with(&["done"]).await;
        let begun = tokio::time::Instant::now();
        kubectl.run("delete pod deaf --grace-period=2").await;
        assert!(begun.elapsed() >= Duration::from_secs(2));
        let events = kubectl.run("get events --field-selector reason=Killing").await;
        assert!(holds(&events, &["pod/polite", "Stopping container polite"]), "{events}");
        kubectl.run("delete pod web --now").await;
        assert_eq!(kubectl.run("get pods").await, "");
        machine.end().await;
    });
}

fn pod(name: &str, image: &str, script: &str) -> String {
    let script = serde_json::to_string(script).unwrap();
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  containers:\n  - {{name: {name}, image: {image}, command: [sh, -c, {script}]}}\n"
    )
}

fn input_pod(name: &str, script: &str) -> String {
    pod(name, "registry.test/busybox", script).replace("command:", "stdin: true, stdinOnce: true, command:")
        + "  restartPolicy: Never\n"
}

async fn http_get(port: u16) -> String {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    connection.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// What the terminal shows of a command that is given `input` as if by keys.
async fn terminal(kubectl: &Kubectl, line: &str, input: &str) -> String {
    let command = kubectl.command(line);
    let mut words = vec!["kubectl"];
    words.extend(command.as_std().get_args().map(|word| word.to_str().unwrap()));
    let environment = command.as_std().get_envs().filter_map(|(name, value)| Some((name, value?)));
    let mut script = Command::new("script");
    let mut child = script
        .args(["-qec", &format!("stty rows 24 cols 80; {}", words.join(" ")), "/dev/null"])
        .envs(environment)
        .current_dir(kubectl.home())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let shown = async {
        let mut shown = Vec::new();
        // What is typed before the shell reads is not lost: the terminal keeps it.
        stdin.write_all(input.as_bytes()).await.unwrap();
        stdout.read_to_end(&mut shown).await.unwrap();
        String::from_utf8_lossy(&shown).into_owned()
    };
    tokio::time::timeout(Duration::from_secs(60), shown).await.unwrap_or_else(|_| panic!("kubectl {line}: no end"))
}
