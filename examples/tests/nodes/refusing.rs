use std::process::Command;

use crate::{
    host,
    program::{Folder, built},
    state::{State, printed},
};

#[test]
fn all_that_is_missing_is_named_before_anything_is_made() {
    host::alone(async || {
        let folder = Folder::new();
        let before = State::now(&folder.path(""));
        // In a namespace of users that knows none, nobody is root.
        let script = "PATH=/nowhere exec \"$0\"";
        let output = Command::new("unshare").args(["--user", "sh", "-c", script]).arg(built("nodes")).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.starts_with("this needs root, the program containerd (package containerd), "), "{said}");
        for program in ["ctr", "runc", "nft", "conntrack", "ip", "iptables", "unshare", "nsenter", "setpriv"] {
            assert!(said.contains(&format!(" {program} (package ")), "{said}");
        }
        assert_eq!(State::now(&folder.path("")), before);
    });
}

#[test]
fn there_is_one_at_a_time() {
    host::alone(async || {
        let folder = Folder::new();
        printed("ip link add name orchestra type bridge");
        let before = State::now(&folder.path(""));
        let said = folder.fails("nodes", "").await;
        assert_eq!(said, "there is a network device orchestra already: does this program run already?");
        assert_eq!(State::now(&folder.path("")), before);
    });
}

#[test]
fn what_was_made_before_a_failure_is_removed() {
    host::alone(async || {
        let folder = Folder::new();
        // Node 1 is up by then.
        printed("ip route add 10.244.2.0/24 dev lo");
        let before = State::now(&folder.path(""));
        let said = folder.fails("nodes", "--serve").await;
        assert_eq!(said, "ip route add 10.244.2.0/24 via 10.199.0.12: RTNETLINK answers: File exists");
        assert_eq!(State::now(&folder.path("")), before);
    });
}
