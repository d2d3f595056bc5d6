//! What values a configuration may have, in kube-scheduler's words.

use std::collections::BTreeSet;

use orchestra_core::field::{Error, Errors, Path, aggregate};

use super::{ConfigError, KubeSchedulerConfiguration, LeaderElection, Profile};

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
    if !config.extenders.is_empty() {
        errors.push(Error::forbidden(&root.child("extenders"), "extenders are not supported yet"));
    }
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
