//! What goes wrong on a node, and how it is told.

use std::{fs, time::Duration};

use futures::StreamExt;
use orchestra_core::container_runtime::{
    ContainerEventKind, ContainerFilter, ContainerRuntime, ContainerState, ImageSpec, RegistryAuth, RuntimeError,
    SandboxConfig, SandboxFilter, SandboxMetadata,
};
use orchestra_runtime::container::{CriOptions, CriRuntime};
use tokio::time::{sleep, timeout};

use crate::{
    containerd::{
        image,
        leftovers::{until_there_is, what_there_is},
        on_a_node,
        registry::{self, Behavior, Registry},
    },
    pod::{container, run, sandbox},
};

#[test]
fn a_runtime_that_is_not_there_is_unavailable_until_it_comes() {
    on_a_node(async |mut node| {
        node.kill();
        fs::remove_file(node.socket()).expect("its socket");
        let runtime = CriRuntime::connect(node.socket());
        for _ in 0..2 {
            let error = runtime.version().await.expect_err("nobody is there");
            assert!(matches!(error, RuntimeError::Unavailable(_)), "{error}");
        }
        node.resume().await;
        assert_eq!(until_available(&runtime).await, "containerd");
    });
}

/// The runtime's name, as soon as it answers.
async fn until_available(runtime: &CriRuntime) -> String {
    for _ in 0..500 {
        match runtime.version().await {
            Err(RuntimeError::Unavailable(_)) => sleep(Duration::from_millis(20)).await,
            other => return other.expect("its version").name,
        }
    }
    panic!("the runtime does not come back");
}

#[test]
fn containers_survive_the_runtimes_death_and_are_known_again() {
    on_a_node(async |mut node| {
        let before = what_there_is();
        let options = CriOptions { relist_period: Duration::from_millis(50), ..CriOptions::default() };
        let runtime = CriRuntime::with_options(node.socket(), options.clone());
        let sandbox = sandbox(&runtime).await;
        let id = run(&runtime, &sandbox, container("forever", image::FOREVER)).await;
        let running = runtime.container_status(&id).await.expect("its status");
        let mut events = runtime.events().await.expect("events");

        node.kill();
        let last = timeout(Duration::from_secs(20), events.next()).await.expect("it is told");
        assert!(matches!(last, Some(Err(RuntimeError::Unavailable(_)))), "{last:?}");
        assert!(events.next().await.is_none());
        let error = runtime.list_containers(ContainerFilter::default()).await.expect_err("nobody is there");
        assert!(matches!(error, RuntimeError::Unavailable(_)), "{error}");

        node.resume().await;
        until_available(&runtime).await;
        assert_eq!(runtime.container_status(&id).await.expect("its status"), running);
        let mut events = runtime.events().await.expect("events");
        // One that knows nothing of what was before, as after a restart of the kubelet.
        let fresh = CriRuntime::with_options(node.socket(), options);
        let second = run(&fresh, &sandbox, container("second", image::EXIT_7)).await;
        let stopped = async {
            while let Some(event) = events.next().await {
                let event = event.expect("an event");
                if event.container == second && event.kind == ContainerEventKind::Stopped {
                    return;
                }
            }
            panic!("the events end");
        };
        timeout(Duration::from_secs(20), stopped).await.expect("its end is told");
        // Its log is where the sandbox' configuration says, which the new client was not told.
        let log = fresh.logs(&second, Default::default()).await.expect("a log");
        assert_eq!(log.count().await, 0);
        fresh.remove_pod_sandbox(&sandbox).await.expect("it goes");
        until_there_is(before).await;
    });
}

#[test]
fn what_a_registry_says_is_told() {
    on_a_node(async |node| {
        let runtime = CriRuntime::connect(node.socket());
        let remote: ImageSpec = image::REMOTE.into();
        let registry = Registry::start(&node).await;
        let failure = async |auth| match runtime.pull_image(&remote, auth).await {
            Err(RuntimeError::ImagePull { reason }) => reason,
            other => panic!("{other:?} instead of a failed pull"),
        };
        registry.set(Behavior::KnowsNothing);
        let reason = failure(None).await;
        assert!(reason.starts_with("rpc error: code = NotFound desc = ") && reason.contains("not found"), "{reason}");
        registry.set(Behavior::Broken);
        let reason = failure(None).await;
        assert!(reason.contains("500 Internal Server Error"), "{reason}");
        registry.set(Behavior::Asks("user".to_owned(), "password".to_owned()));
        let reason = failure(None).await;
        assert!(reason.contains("authorization failed") || reason.contains("401"), "{reason}");
        let auth = |password: &str| RegistryAuth {
            username: "user".to_owned(),
            password: password.to_owned(),
            ..RegistryAuth::default()
        };
        let reason = failure(Some(auth("wrong"))).await;
        assert!(reason.contains("authorization failed") || reason.contains("401"), "{reason}");
        runtime.pull_image(&remote, Some(auth("password"))).await.expect("it is fetched");
        let found = runtime.image_status(&remote).await.expect("an answer").expect("it is there");
        assert!(found.size > 0 && found.repo_tags == [image::REMOTE], "{found:?}");
        runtime.remove_image(&remote).await.expect("it goes");
        assert_eq!(runtime.image_status(&remote).await, Ok(None));

        drop(registry);
        registry::set_address("127.0.0.1:1".parse().expect("an address"));
        let reason = failure(None).await;
        assert!(reason.contains("connection refused"), "{reason}");
    });
}

#[test]
fn a_slow_registry_is_waited_for_until_the_deadline() {
    on_a_node(async |node| {
        let options = CriOptions { pull_deadline: Duration::from_millis(300), ..CriOptions::default() };
        let runtime = CriRuntime::with_options(node.socket(), options);
        let registry = Registry::start(&node).await;
        registry.set(Behavior::Slow(Duration::from_secs(60)));
        let error = runtime.pull_image(&image::REMOTE.into(), None).await.expect_err("it takes too long");
        assert!(matches!(&error, RuntimeError::ImagePull { reason } if reason.contains("DeadlineExceeded")), "{error}");
    });
}

#[test]
fn a_sandbox_without_network_is_told_of_and_leaves_nothing() {
    on_a_node(async |node| {
        let runtime = CriRuntime::connect(node.socket());
        let before = what_there_is();
        node.break_network();
        let config = |attempt| SandboxConfig {
            metadata: SandboxMetadata { name: "p".to_owned(), uid: "u".to_owned(), attempt, ..Default::default() },
            ..SandboxConfig::default()
        };
        let mut attempts = 0..;
        let mut next = async || runtime.run_pod_sandbox(config(attempts.next().expect("it does not end"))).await;
        // containerd sees what was changed a moment later.
        let error = loop {
            if let Err(error) = next().await {
                break error;
            }
        };
        assert!(error.to_string().contains("no-such-plugin"), "{error}");
        assert!(error.to_string().starts_with("rpc error: code = Unknown desc = failed to setup network"), "{error}");
        node.connect_network();
        while next().await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
        for sandbox in runtime.list_pod_sandboxes(SandboxFilter::default()).await.expect("a list") {
            runtime.remove_pod_sandbox(&sandbox.id).await.expect("it goes");
        }
        until_there_is(before).await;
    });
}

#[test]
fn a_container_whose_program_is_missing_says_so() {
    on_a_node(async |node| {
        let runtime = CriRuntime::connect(node.socket());
        let sandbox = sandbox(&runtime).await;
        let mut config = container("c", image::BUSYBOX);
        config.command = vec!["/no/such/program".to_owned()];
        let id = runtime.create_container(&sandbox, config).await.expect("a container");
        let error = runtime.start_container(&id).await.expect_err("there is no program");
        assert!(matches!(&error, RuntimeError::Failed(words) if words.contains("/no/such/program")), "{error}");
        let status = runtime.container_status(&id).await.expect("its status");
        assert_eq!((status.container.state, &*status.reason), (ContainerState::Exited, "StartError"));
        assert_eq!(status.exit_code, 128);
    });
}
