//! Containers that write much.

use std::{fs, path::Path, time::Duration};

use futures::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use serde_json::json;
use tokio::time::sleep;

use crate::{containerd::on_a_node, process::Settings, world::World};

/// How many lines are written, how many bytes each takes in the log, and what a log may take.
const LINES: usize = 60_000;
const LINE: u64 = 125;
const MAX_SIZE: u64 = 256 << 10;
const MAX_FILES: usize = 3;

#[test]
fn a_storm_of_lines_is_followed_in_order_and_takes_no_more_room_than_it_may() {
    on_a_node(async |node| {
        let mut world = World::without_kubelet(&node).await;
        let logs = Some((MAX_SIZE, MAX_FILES, 100));
        world.start_kubelet(Settings { logs, ..Settings::default() });
        world.until_node("True").await;
        let idle = world.kubelet.as_ref().unwrap().peak();
        // As fast as awk can, in gusts, as a program that writes without end leaves nobody else any time.
        let script = format!(
            r#"awk 'BEGIN {{ for (i = 1; i <= {LINES}; i++) {{
                printf "%080d\n", i; if (i % 500 == 0) {{ fflush(); system("sleep 0.05") }} }} }}'; sleep 1000"#
        );
        world.add("storm", json!({ "containers": [{ "command": ["sh", "-c", script] }] })).await;
        world.ready("storm").await;
        let follow = LogParams { follow: true, ..LogParams::default() };
        let mut lines = world.api::<Pod>().log_stream("storm", &follow).await.unwrap().lines();
        let (mut expected, mut most) = (1, 0);
        while let Some(line) = lines.try_next().await.unwrap() {
            assert_eq!(line.trim_start_matches('0'), expected.to_string());
            if expected % 500 == 0 {
                most = most.max(count(&files(Path::new("/var/log/pods"))));
            }
            if expected == LINES {
                break;
            }
            expected += 1;
        }
        let peak = world.kubelet.as_ref().unwrap().peak();
        println!("{most} files at most; the kubelet took {idle} and then {peak} bytes");
        // One more for a moment, that was compressed.
        assert!(most <= MAX_FILES + 1, "{most}");
        // The present one, the one before it, and an older one.
        let compressed = |all: &[String]| all.iter().filter(|file| file.ends_with(".gz")).count();
        let are_all = |all: &[String]| all.len() == MAX_FILES && compressed(all) == MAX_FILES - 2;
        while !are_all(&files(Path::new("/var/log/pods"))) {
            sleep(Duration::from_millis(20)).await;
        }
        // How much depends on how fast the machine is: names have no fractions of a second, so a log may grow for that long.
        let (all, written) = (size(&files(Path::new("/var/log/pods"))), LINES as u64 * LINE);
        assert!(all < written * 3 / 4, "{all} of {written}");
        assert!(peak < idle + (16 << 20), "{idle}, then {peak}");
        world.delete("storm").await;
        assert_eq!(fs::read_dir("/var/log/pods").unwrap().count(), 0);
        world.shut_down().await;
    });
}

/// All files below `folder`.
fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let of = |path: &Path| match path.is_dir() {
        true => files(path),
        false => vec![path.display().to_string()],
    };
    entries.flat_map(|entry| of(&entry.path())).collect()
}

/// How many there are beside those that are being made.
fn count(files: &[String]) -> usize {
    files.iter().filter(|file| !file.ends_with(".tmp")).count()
}

/// What they take, in bytes. They come and go meanwhile.
fn size(files: &[String]) -> u64 {
    files.iter().filter_map(|file| Some(fs::metadata(file).ok()?.len())).sum()
}
