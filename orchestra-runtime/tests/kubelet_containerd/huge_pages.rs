//! Memory in huge pages, in folders that live as long as their pod.

use std::fs;

use serde_json::json;

use crate::{
    containerd::{
        leftovers::{until_there_is, what_there_is},
        on_a_node,
    },
    process::Settings,
    world::World,
};

const SET_ASIDE: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
const FREE: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";

fn number(file: &str) -> u64 {
    fs::read_to_string(file).unwrap().trim().parse().unwrap()
}

/// Pages of 2 MiB that the machine sets aside beside those that it had set aside; it is one machine for all tests.
struct SetAside {
    before: u64,
}

impl SetAside {
    fn more(count: u64) -> Self {
        let before = number(SET_ASIDE);
        fs::write(SET_ASIDE, (before + count).to_string()).unwrap();
        assert_eq!(number(SET_ASIDE), before + count, "the kernel found no room");
        Self { before }
    }
}

impl Drop for SetAside {
    fn drop(&mut self) {
        fs::write(SET_ASIDE, self.before.to_string()).unwrap();
    }
}

#[test]
fn a_pod_has_huge_pages_in_a_folder_until_it_ends() {
    on_a_node(async |node| {
        let before = what_there_is();
        let pages = SetAside::more(2);
        let mut world = World::without_kubelet(&node).await;
        // A node that is a machine: it has what the machine sets aside.
        let thresholds = vec![("memory.available".to_owned(), "1Mi".to_owned())];
        world.start_kubelet(Settings { thresholds, ..Settings::default() });
        world.until_node("True").await;
        let free = number(FREE);
        let amounts = json!({ "hugepages-2Mi": "4Mi", "memory": "64Mi" });
        let container = json!({
            "command": ["sleep", "1000"],
            "resources": { "requests": amounts, "limits": amounts },
            "volumeMounts": [{ "name": "huge", "mountPath": "/huge" }],
        });
        let volumes = json!([{ "name": "huge", "emptyDir": { "medium": "HugePages" } }]);
        world.add("fast", json!({ "containers": [container], "volumes": volumes })).await;
        let pod = world.ready("fast").await;
        let mount = world.shell(&pod, "grep ' /huge ' /proc/mounts").await;
        assert!(mount.contains("hugetlbfs") && mount.contains("pagesize=2M"), "{mount}");
        // Files there cannot be written to, but mapped, and be given pages.
        world.shell(&pod, "fallocate -l 4194304 /huge/data").await;
        assert_eq!(number(FREE), free - 2);
        world.delete("fast").await;
        assert_eq!(number(FREE), free);
        world.shut_down().await;
        drop(pages);
        until_there_is(before).await;
    });
}

#[test]
fn a_volume_of_pages_that_the_pod_does_not_ask_for_is_refused() {
    on_a_node(async |node| {
        let world = World::start(&node).await;
        let container = json!({ "volumeMounts": [{ "name": "huge", "mountPath": "/huge" }] });
        let volumes = json!([{ "name": "huge", "emptyDir": { "medium": "HugePages-2Mi" } }]);
        world.add("fast", json!({ "containers": [container], "volumes": volumes })).await;
        let event = world.event("FailedMount: MountVolume.SetUp failed for volume \"huge\" : ").await;
        let why = "medium HugePages-2Mi: hugePages storage requested, but there is no resource request for huge pages";
        assert!(event.ends_with(why), "{event}");
        world.delete("fast").await;
        world.shut_down().await;
    });
}
