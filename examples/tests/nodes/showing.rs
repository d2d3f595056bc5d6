use crate::{
    host,
    program::Folder,
    state::{State, cgroups, folders_of},
};

#[test]
fn pods_of_two_nodes_ask_each_other_and_nothing_is_left() {
    host::alone(async || {
        let folder = Folder::new();
        let before = State::now(&folder.path(""));
        let mut program = folder.start("nodes", "");
        let mut printed = String::new();
        let mut made = Default::default();
        while let Some(line) = program.next_line().await {
            if line == "service/web created" {
                made = cgroups();
            }
            printed += &line;
            printed.push('\n');
        }
        assert_eq!(program.exit_code().await, Some(0), "{printed}");
        assert_shows_that_pods_reach_each_other(&printed);
        assert_eq!(State::now(&folder.path("")), before);
        assert_eq!(made.len(), 2, "a cgroup each: {made:?}");
        for cgroup in made {
            assert!(folders_of(&cgroup).is_empty(), "{:?} are left", folders_of(&cgroup));
        }
    });
}

fn assert_shows_that_pods_reach_each_other(printed: &str) {
    for node in ["node-1", "node-2"] {
        assert!(printed.lines().any(|line| line.starts_with(&format!("{node}   Ready "))), "{printed}");
        let asks = printed.split_once(&format!(" on {node} asks\n"));
        let (_, answers) = asks.unwrap_or_else(|| panic!("no pod of {node} asks:\n{printed}"));
        let answers: Vec<&str> = answers.lines().take_while(|line| line.starts_with("  ")).collect();
        let of = |network, node| {
            let from = |line: &&&str| line.starts_with(network) && line.contains(": I am web-") && line.ends_with(node);
            answers.iter().filter(from).count()
        };
        assert_eq!(of("  10.244.1.", " on node-1"), 2, "{printed}");
        assert_eq!(of("  10.244.2.", " on node-2"), 2, "{printed}");
        let to_all: Vec<&str> = answers.iter().filter_map(|line| line.strip_suffix(": all 4 answer")).collect();
        assert!(to_all[0].starts_with("  10."), "{printed}");
        assert_eq!(to_all[1..], ["  web", "  web.default.svc.cluster.local"], "{printed}");
    }
    let logged = printed.lines().filter_map(|line| line.split_once(" logged ")?.1.strip_suffix(" answers"));
    let logged: Vec<u32> = logged.map(|count| count.parse().unwrap()).collect();
    // Each pod was asked five times from each node at least: by its address, the Service's, and two names.
    assert!(logged.len() == 4 && logged.iter().all(|count| *count >= 8), "{printed}");
}
