use tokio::time::{Duration, sleep};

use crate::{
    host,
    program::{Folder, Program},
    state::{State, cgroups, cluster, folders_of, printed, processes_with},
};

#[test]
fn a_signal_ends_all_of_it() {
    host::alone(async || {
        for signal in ["INT", "TERM"] {
            let folder = Folder::new();
            let before = State::now(&folder.path(""));
            let mut program = folder.start("nodes", "");
            // Pods come up.
            until_line(&mut program, "service/web created").await;
            let made = cgroups();
            program.signal(signal).await;
            assert_eq!(program.exit_code().await, Some(0), "{signal}");
            assert_eq!(State::now(&folder.path("")), before, "{signal}");
            assert_eq!(made.iter().flat_map(|cgroup| folders_of(cgroup)).next(), None, "{signal}");
        }
    });
}

#[test]
fn a_signal_while_nodes_are_made_ends_all_of_it() {
    host::alone(async || {
        let folder = Folder::new();
        let before = State::now(&folder.path(""));
        // Their namespaces and cgroups come step by step.
        for step in 0..5 {
            let program = folder.start("nodes", "--serve");
            while processes_with(" agent --number 2 ").is_empty() {
                sleep(Duration::from_millis(1)).await;
            }
            let cluster = cluster();
            sleep(Duration::from_millis(step * 20)).await;
            program.signal("INT").await;
            assert_eq!(program.exit_code().await, Some(0));
            assert_eq!(State::now(&folder.path("")), before);
            let left: Vec<_> = (1..=2).flat_map(|number| folders_of(&format!("{cluster}-{number}"))).collect();
            assert!(left.is_empty(), "after {step} steps: {left:?}");
        }
    });
}

#[test]
fn of_one_that_is_killed_nothing_is_left_but_the_kubeconfig() {
    host::alone(async || {
        let folder = Folder::new();
        let before = State::now(&folder.path(""));
        let mut program = folder.start("nodes", "--serve --kubeconfig config");
        until_line(&mut program, "images: ").await;
        let made = cgroups();
        assert_eq!(made.len(), 2, "a cgroup each: {made:?}");
        program.kill().await;
        std::fs::remove_file(folder.path("config")).unwrap();
        before.returns(&folder.path("")).await;
        // The last process removes them before it ends.
        assert_eq!(made.iter().flat_map(|cgroup| folders_of(cgroup)).next(), None);
    });
}

#[test]
fn the_others_stay_when_a_node_is_killed() {
    host::alone(async || {
        let folder = Folder::new();
        let before = State::now(&folder.path(""));
        let mut program = folder.start("nodes", "--serve --kubeconfig config");
        until_line(&mut program, "images: ").await;
        // The agent is the last of its line: the others are its machine's first processes.
        let agent = *processes_with(" agent --number 2 ").last().unwrap();
        printed(&format!("kill -9 {agent}"));
        while !processes_with(" agent --number 2 ").is_empty() {
            sleep(Duration::from_millis(20)).await;
        }
        assert!(!processes_with(" agent --number 1 ").is_empty());
        let nodes = printed(&format!("kubectl --kubeconfig {} get nodes", folder.path("config").display()));
        assert!(nodes.contains("node-1   Ready"), "{nodes}");
        program.signal("TERM").await;
        assert_eq!(program.exit_code().await, Some(0));
        assert_eq!(State::now(&folder.path("")), before);
    });
}

async fn until_line(program: &mut Program, start: &str) {
    while !program.line().await.starts_with(start) {}
}
