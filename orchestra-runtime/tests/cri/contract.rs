//! The contract of all runtimes, kept by real containerd.

use std::{sync::Arc, time::Duration};

use orchestra_core::container_runtime::contract::{self, Images, Subject};
use orchestra_runtime::container::{CriOptions, CriRuntime};

use crate::containerd::{
    image,
    leftovers::{until_there_is, what_there_is},
    on_a_node,
    registry::Registry,
};

#[test]
fn containerd_keeps_the_contract() {
    on_a_node(async |node| {
        let _registry = Registry::start(&node).await;
        let before = what_there_is();
        let options = CriOptions { relist_period: Duration::from_millis(50), ..CriOptions::default() };
        let images = Images {
            forever: image::FOREVER.into(),
            stubborn: image::STUBBORN.into(),
            exits_with_7: image::EXIT_7.into(),
            lines: image::TWO_LINES.into(),
            missing: "registry.test/missing:latest".into(),
        };
        let runtime = Arc::new(CriRuntime::with_options(node.socket(), options));
        let subject = Subject { runtime, images, log_directory: "/var/log/pods".to_owned() };
        let outcome = contract::run(&subject).await;
        let lines: Vec<String> = outcome.err().into_iter().flatten().map(|violation| violation.to_string()).collect();
        assert!(lines.is_empty(), "{}", lines.join("\n"));
        until_there_is(before).await;
    });
}
