//! What happens to containers is told by the runtime, where it has events, and is told also where it loses some.

use std::time::Duration;

use futures::StreamExt;
use orchestra_core::container_runtime::{
    ContainerEvent, ContainerEventKind, ContainerId, ContainerRuntime, RuntimeError, RuntimeStream,
};
use orchestra_runtime::container::{CriOptions, CriRuntime};
use tokio::time::timeout;

use crate::{
    containerd::{Containerd, image, on_a_node},
    pod::{container, run, sandbox},
};

/// Later than any test ends.
const NEVER: Duration = Duration::from_secs(3600);
const OFTEN: Duration = Duration::from_millis(100);
/// How long something may take to be told.
const PATIENCE: Duration = Duration::from_secs(30);

type Events = RuntimeStream<ContainerEvent>;

fn connect(node: &Containerd, relist_period: Duration) -> CriRuntime {
    let options = CriOptions { relist_period, relist_period_with_events: NEVER, ..CriOptions::default() };
    CriRuntime::with_options(node.socket(), options)
}

/// Whether containerd is 1.7 or newer, as it says.
async fn has_events(runtime: &CriRuntime) -> bool {
    let version = runtime.version().await.expect("its version").version;
    let mut numbers = version.trim_start_matches('v').split('.').map_while(|number| number.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(1), Some(7))
}

/// What is told of a container until this is.
async fn told(events: &mut Events, id: &ContainerId, last: ContainerEventKind) -> Vec<ContainerEventKind> {
    let all = async {
        let mut told = Vec::new();
        while told.last() != Some(&last) {
            let event = events.next().await.expect("the events go on").expect("an event");
            if event.container == *id {
                told.push(event.kind);
            }
        }
        told
    };
    timeout(PATIENCE, all).await.unwrap_or_else(|_| panic!("{last:?} of {id} is not told"))
}

#[test]
fn what_happens_is_told_without_a_list() {
    use ContainerEventKind::{Created, Deleted, Started, Stopped};
    on_a_node(async |node| {
        // Where there are no events, lists are all there is.
        let period = if has_events(&connect(&node, NEVER)).await { NEVER } else { OFTEN };
        let runtime = connect(&node, period);
        let sandbox = sandbox(&runtime).await;
        let before = run(&runtime, &sandbox, container("before", image::FOREVER)).await;
        let mut events = runtime.events().await.expect("events");
        runtime.stop_container(&before, PATIENCE).await.expect("it stops");
        assert_eq!(told(&mut events, &before, Stopped).await, [Stopped]);
        // By itself.
        let ends = run(&runtime, &sandbox, container("ends", image::EXIT_7)).await;
        assert_eq!(told(&mut events, &ends, Stopped).await, [Created, Started, Stopped]);
        assert_eq!(runtime.container_status(&ends).await.expect("its status").exit_code, 7);
        for id in [ends, before] {
            runtime.remove_container(&id).await.expect("it goes");
            assert_eq!(told(&mut events, &id, Deleted).await, [Deleted]);
        }
        runtime.remove_pod_sandbox(&sandbox).await.expect("it goes");
    });
}

#[test]
fn who_listens_hears_of_an_end_whoever_listened_before() {
    on_a_node(async |node| {
        let runtime = connect(&node, OFTEN);
        let sandbox = sandbox(&runtime).await;
        // A runtime that has events notices that somebody is gone when it next has something to tell.
        for _ in 0..3 {
            listen_briefly(&node).await.expect("events");
        }
        let forever = run(&runtime, &sandbox, container("forever", image::FOREVER)).await;
        let mut all = Vec::new();
        for _ in 0..3 {
            all.push(runtime.events().await.expect("events"));
        }
        runtime.stop_container(&forever, PATIENCE).await.expect("it stops");
        for events in &mut all {
            told(events, &forever, ContainerEventKind::Stopped).await;
        }
        runtime.remove_pod_sandbox(&sandbox).await.expect("it goes");
    });
}

/// Begins to listen, and goes.
async fn listen_briefly(node: &Containerd) -> Result<(), RuntimeError> {
    let mut events = connect(node, NEVER).events().await?;
    // The call is made as soon as somebody waits.
    let _ = timeout(OFTEN, events.next()).await;
    Ok(())
}
