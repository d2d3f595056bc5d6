//! Which runtimes' events can be relied on.

use orchestra_core::container_runtime::RuntimeVersion;

/// Whether a runtime of this version tells a listener only some of what happens. containerd before 2.0 tells each event to one of its listeners,
/// which may be one that is gone: it notices that by failing to tell it, and the event is lost. And it drops events while nobody listens.
pub(super) fn may_lose_events(version: &RuntimeVersion) -> bool {
    let number = version.version.trim_start_matches('v');
    version.name == "containerd" && number.split('.').next().is_some_and(|major| matches!(major, "0" | "1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containerd_loses_events_before_its_second_version() {
        let of = |name: &str, version: &str| {
            let (name, version) = (name.to_owned(), version.to_owned());
            may_lose_events(&RuntimeVersion { name, version, api_version: "v1".to_owned() })
        };
        assert!(of("containerd", "1.7.24~ds1") && of("containerd", "v1.7.0"));
        assert!(!of("containerd", "v2.0.0") && !of("containerd", "10.1") && !of("cri-o", "1.36.0"));
    }
}
