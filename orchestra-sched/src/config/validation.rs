//! What values a configuration may have, in kube-scheduler's words.

use std::collections::BTreeSet;

use http::Uri;
use orchestra_core::{
    field::{Error, Errors, Path, aggregate},
    validation::qualified_name,
};

use super::{ConfigError, Extender, KubeSchedulerConfiguration, LeaderElection, Profile};
use crate::plugins::resource_spec::is_extended;

pub(super) fn validate(config: &KubeSchedulerConfiguration) -> Result<(), ConfigError> {
    let (root, mut errors) = (Path::default(), Errors::new());
    let election = &root.child("leaderElection");
    if config.leader_election.leader_elect {
        validate_election(&config.leader_election, election, &mut errors);
    }
    if config.parallelism <= 0 {
        let detail = "should be an integer value greater than zero";
        errors.push(Error::invalid(&root.child("parallelism"), config.parallelism, detail));
    }
    let (initial, max) = (config.pod_initial_backoff_seconds, config.pod_max_backoff_seconds);
    if initial <= 0 {
        errors.push(Error::invalid(&root.child("podInitialBackoffSeconds"), initial, "must be greater than 0"));
    }
    if max < initial {
        let detail = "must be greater than or equal to PodInitialBackoffSeconds";
        errors.push(Error::invalid(&root.child("podMaxBackoffSeconds"), max, detail));
    }
    validate_percentage(config.percentage_of_nodes_to_score, &root, &mut errors);
    validate_profiles(&config.profiles, &root.child("profiles"), &mut errors);
    validate_extenders(&config.extenders, &root.child("extenders"), &mut errors);
    aggregate(&errors).map_err(ConfigError::Invalid)
}

fn validate_election(election: &LeaderElection, path: &Path, errors: &mut Errors) {
    let LeaderElection { lease_duration, renew_deadline, retry_period, .. } = election;
    let shown = |duration: &std::time::Duration| orchestra_core::go_duration(*duration);
    if lease_duration <= renew_deadline {
        let detail = "LeaseDuration must be greater than RenewDeadline";
        errors.push(Error::invalid(&path.child("leaseDuration"), &*shown(renew_deadline), detail));
    }
    if renew_deadline <= retry_period {
        let detail = "RenewDeadline must be greater than RetryPeriod";
        errors.push(Error::invalid(&path.child("renewDeadline"), &*shown(retry_period), detail));
    }
    for (field, duration) in
        [("leaseDuration", lease_duration), ("renewDeadline", renew_deadline), ("retryPeriod", retry_period)]
    {
        if duration.is_zero() {
            errors.push(Error::invalid(&path.child(field), &*shown(duration), "must be greater than zero"));
        }
    }
    if election.resource_lock != "leases" {
        let detail = "resourceLock value must be \"leases\"";
        errors.push(Error::invalid(&path.child("resourceLock"), &*election.resource_lock, detail));
    }
    for (field, value) in
        [("resourceNamespace", &election.resource_namespace), ("resourceName", &election.resource_name)]
    {
        if value.is_empty() {
            errors.push(Error::invalid(&path.child(field), &**value, format!("{field} is required")));
        }
    }
}

fn validate_percentage(percentage: Option<i32>, path: &Path, errors: &mut Errors) {
    if let Some(percentage) = percentage.filter(|percentage| !(0..=100).contains(percentage)) {
        let detail = "not in valid range [0-100]";
        errors.push(Error::invalid(&path.child("percentageOfNodesToScore"), percentage, detail));
    }
}

fn validate_profiles(profiles: &[Profile], path: &Path, errors: &mut Errors) {
    let mut names = BTreeSet::new();
    for (index, profile) in profiles.iter().enumerate() {
        let path = path.index(index);
        let name = &profile.scheduler_name;
        if name.is_empty() {
            errors.push(Error::required(&path.child("schedulerName"), ""));
        }
        if !names.insert(name) {
            errors.push(Error::duplicate(&path.child("schedulerName"), &**name));
        }
        validate_percentage(profile.percentage_of_nodes_to_score, &path, errors);
        let mut configured = BTreeSet::new();
        for (index, config) in profile.plugin_config.iter().enumerate() {
            if !configured.insert(&config.name) {
                errors.push(Error::duplicate(&path.child("pluginConfig").index(index), &*config.name));
            }
        }
    }
}

/// That the URLs are some is checked here, where kube-scheduler finds out when it asks.
fn validate_extenders(extenders: &[Extender], path: &Path, errors: &mut Errors) {
    let mut managed = BTreeSet::new();
    for (index, extender) in extenders.iter().enumerate() {
        let path = path.index(index);
        let url = &path.child("urlPrefix");
        if !is_http(&extender.url_prefix) {
            errors.push(Error::invalid(url, &*extender.url_prefix, "must be an absolute URL of http or https"));
        }
        let verbs = [
            ("filterVerb", &extender.filter_verb),
            ("preemptVerb", &extender.preempt_verb),
            ("prioritizeVerb", &extender.prioritize_verb),
            ("bindVerb", &extender.bind_verb),
        ];
        for (field, verb) in verbs.into_iter().filter(|(_, verb)| format!("/{verb}").parse::<Uri>().is_err()) {
            errors.push(Error::invalid(&path.child(field), &**verb, "must be part of a URL"));
        }
        if !extender.prioritize_verb.is_empty() && extender.weight <= 0 {
            let detail = "must have a positive weight applied to it";
            errors.push(Error::invalid(&path.child("weight"), extender.weight, detail));
        }
        for (index, resource) in extender.managed_resources.iter().enumerate() {
            let (path, name) = (path.child("managedResources").index(index).child("name"), &*resource.name);
            let wrong = qualified_name::key(name);
            let is_qualified = wrong.is_empty();
            errors.extend(wrong.into_iter().map(|detail| Error::invalid(&path, name, detail)));
            if is_qualified && !is_extended(name) {
                errors.push(Error::invalid(&path, name, "is an invalid extended resource name"));
            }
            if !managed.insert(name) {
                errors.push(Error::invalid(&path, name, "duplicate extender managed resource name"));
            }
        }
    }
    let binders = extenders.iter().filter(|extender| !extender.bind_verb.is_empty()).count();
    if binders > 1 {
        let found = format!("found {binders} extenders implementing bind");
        errors.push(Error::invalid(path, &*found, "only one extender can implement bind"));
    }
}

fn is_http(url: &str) -> bool {
    url.parse::<Uri>().is_ok_and(|url| matches!(url.scheme_str(), Some("http" | "https")) && url.query().is_none())
}
