use super::*;
use crate::framework::ExtensionPoint;

const HEAD: &str = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n";

fn read(yaml: &str) -> Result<KubeSchedulerConfiguration, ConfigError> {
    KubeSchedulerConfiguration::from_yaml(&format!("{HEAD}{yaml}"))
}

/// The one profile of a configuration with these plugins and arguments.
fn profile(yaml: &str) -> Result<Arc<Framework>, String> {
    let yaml: String = yaml.lines().map(|line| format!("  {line}\n")).collect();
    let config = read(&format!("profiles:\n- schedulerName: x\n{yaml}")).map_err(|error| error.to_string())?;
    let profiles = config.profiles(&Registry::kubernetes()).map_err(|error| error.to_string())?;
    Ok(profiles["x"].clone())
}

fn names(framework: &Framework, point: ExtensionPoint) -> Vec<&'static str> {
    framework.plugin_names_at(point).collect()
}

fn refused(yaml: &str) -> String {
    match profile(yaml) {
        Ok(framework) => panic!("taken: {framework:?}"),
        Err(message) => message,
    }
}

#[test]
fn without_a_word_there_is_the_default_scheduler() {
    let profiles = read("").unwrap().profiles(&Registry::kubernetes()).unwrap();
    assert_eq!(profiles.keys().collect::<Vec<_>>(), ["default-scheduler"]);
    let (built, expected) = (&profiles["default-scheduler"], Framework::kubernetes());
    for point in ExtensionPoint::ALL {
        assert_eq!(names(built, point), names(&expected, point), "{point}");
    }
    assert_eq!(format!("{built:?}"), format!("{expected:?}"), "the weights");
}

#[test]
fn every_default_plugin_is_in_the_registry() {
    let registry = Registry::kubernetes();
    let known: Vec<_> = registry.names().collect();
    assert!(Framework::kubernetes().plugin_names().all(|name| known.contains(&name)));
}

#[test]
fn a_plugin_may_be_left_out_at_one_point_or_everywhere() {
    let framework = profile("plugins: { score: { disabled: [{ name: NodeAffinity }] } }").unwrap();
    assert!(!names(&framework, ExtensionPoint::Score).contains(&"NodeAffinity"));
    assert!(names(&framework, ExtensionPoint::Filter).contains(&"NodeAffinity"));
    let framework = profile("plugins: { multiPoint: { disabled: [{ name: NodeAffinity }] } }").unwrap();
    assert!(framework.plugin_names().all(|name| name != "NodeAffinity"));
}

#[test]
fn all_default_plugins_may_be_left_out() {
    let yaml = "plugins: { score: { disabled: [{ name: '*' }], enabled: [{ name: ImageLocality, weight: 7 }] } }";
    let framework = profile(yaml).unwrap();
    assert_eq!(names(&framework, ExtensionPoint::Score), ["ImageLocality"]);
    assert!(format!("{framework:?}").contains("(\"ImageLocality\", 7)"), "{framework:?}");
}

#[test]
fn what_is_named_for_a_point_comes_first_there_in_its_order() {
    let yaml = "plugins: { filter: { enabled: [{ name: NodePorts }, { name: NodeName }] } }";
    let framework = profile(yaml).unwrap();
    assert_eq!(names(&framework, ExtensionPoint::Filter)[..3], ["NodePorts", "NodeName", "NodeUnschedulable"]);
    assert_eq!(
        names(&framework, ExtensionPoint::PreFilter),
        names(&Framework::kubernetes(), ExtensionPoint::PreFilter)
    );
}

#[test]
fn the_weight_of_a_point_is_stronger_than_that_of_all() {
    let weights = |yaml: &str| format!("{:?}", profile(yaml).unwrap());
    assert!(weights("").contains("(\"TaintToleration\", 3)"));
    let all = "plugins: { multiPoint: { enabled: [{ name: TaintToleration, weight: 5 }] } }";
    assert!(weights(all).contains("(\"TaintToleration\", 5)"));
    let both = "plugins:\n  multiPoint: { enabled: [{ name: TaintToleration, weight: 5 }] }\n  score: { enabled: [{ name: TaintToleration, weight: 9 }] }";
    assert!(weights(both).contains("(\"TaintToleration\", 9)"));
}

#[test]
fn arguments_reach_their_plugin_or_are_refused_by_it() {
    let packing = "pluginConfig:\n- name: NodeResourcesFit\n  args: { apiVersion: kubescheduler.config.k8s.io/v1, kind: NodeResourcesFitArgs, scoringStrategy: { type: MostAllocated } }";
    assert!(profile(packing).is_ok());
    let wrong = |args: &str| refused(&format!("pluginConfig:\n- name: NodeResourcesFit\n  args: {{ {args} }}"));
    let failed =
        "initializing profiles: creating profile for scheduler name x: initializing plugin \"NodeResourcesFit\":";
    let unknown = wrong("scoringStrategy: { kind: MostAllocated }");
    assert!(unknown.starts_with(&format!("{failed} strict decoding error: scoringStrategy")), "{unknown}");
    assert!(unknown.contains("unknown field `kind`"), "{unknown}");
    assert!(wrong("scoringStrategy: { type: Fullest }").starts_with(failed));
    assert_eq!(
        wrong("kind: NodeAffinityArgs"),
        format!("{failed} kind is \"NodeAffinityArgs\", not \"NodeResourcesFitArgs\"")
    );
    let none = refused("pluginConfig:\n- name: ImageLocality\n  args: { x: 1 }");
    assert!(
        none.contains("initializing plugin \"ImageLocality\": strict decoding error: x: unknown field `x`"),
        "{none}"
    );
}

#[test]
fn unknown_plugins_and_fields_are_named() {
    let failed = "initializing profiles: creating profile for scheduler name x: ";
    for yaml in ["plugins: { filter: { enabled: [{ name: Nose }] } }", "pluginConfig: [{ name: Nose }]"] {
        assert_eq!(refused(yaml), format!("{failed}plugin \"Nose\" does not exist"));
    }
    let unable = refused("plugins: { filter: { enabled: [{ name: PrioritySort }] } }");
    assert_eq!(unable, format!("{failed}plugin \"PrioritySort\" does not extend Filter plugin"));
    let field = refused("plugins: { filter: { enable: [] } }");
    assert!(field.starts_with("strict decoding error: profiles[0].plugins.filter.enable: unknown field"), "{field}");
    let kind = KubeSchedulerConfiguration::from_yaml("apiVersion: v1\nkind: Pod").unwrap_err();
    assert_eq!(kind, ConfigError::Unknown { api_version: "v1".to_owned(), kind: "Pod".to_owned() });
    assert!(matches!(KubeSchedulerConfiguration::from_yaml("{"), Err(ConfigError::Syntax(_))));
}

#[test]
fn what_is_disabled_and_enabled_at_a_point_stands_where_it_is_named() {
    let yaml =
        "plugins: { score: { disabled: [{ name: '*' }], enabled: [{ name: ImageLocality }, { name: NodeAffinity }] } }";
    assert_eq!(names(&profile(yaml).unwrap(), ExtensionPoint::Score), ["ImageLocality", "NodeAffinity"]);
    let last = "plugins: { score: { disabled: [{ name: TaintToleration }], enabled: [{ name: TaintToleration }] } }";
    assert_eq!(names(&profile(last).unwrap(), ExtensionPoint::Score).last(), Some(&"TaintToleration"));
    assert!(format!("{:?}", profile(last).unwrap()).contains("(\"TaintToleration\", 1)"), "no weight is one");
}

#[test]
fn a_plugin_takes_part_once() {
    for point in ["filter", "multiPoint"] {
        let twice =
            refused(&format!("plugins: {{ {point}: {{ enabled: [{{ name: NodeName }}, {{ name: NodeName }}] }} }}"));
        assert!(twice.contains("plugin \"NodeName\" already registered as"), "{twice}");
    }
}

#[test]
fn points_of_kubernetes_plugins_that_are_elsewhere_here_may_be_named() {
    assert!(profile("plugins: { preBind: { enabled: [{ name: VolumeBinding }] } }").is_ok());
    assert!(profile("plugins: { preFilter: { enabled: [{ name: NodeResourcesFit }] } }").is_ok());
}

#[test]
fn a_profile_that_is_alone_may_be_without_a_name() {
    let config = read("profiles: [{ percentageOfNodesToScore: 10 }]").unwrap();
    assert_eq!(config.profiles[0].scheduler_name, "default-scheduler");
}

#[test]
fn a_queue_has_one_order_and_pods_are_bound_by_somebody() {
    let none = refused("plugins: { queueSort: { disabled: [{ name: '*' }] } }");
    assert!(none.contains("one queue sort plugin required for profile"), "{none}");
    assert!(refused("plugins: { bind: { disabled: [{ name: '*' }] } }").contains("at least one bind plugin is needed"));
}

#[test]
fn values_out_of_range_are_refused_in_kubernetes_words() {
    for (yaml, expected) in [
        ("percentageOfNodesToScore: 101", "percentageOfNodesToScore: Invalid value: 101: not in valid range [0-100]"),
        ("parallelism: 0", "parallelism: Invalid value: 0: should be an integer value greater than zero"),
        ("podInitialBackoffSeconds: 0", "podInitialBackoffSeconds: Invalid value: 0: must be greater than 0"),
        (
            "podMaxBackoffSeconds: 0",
            "podMaxBackoffSeconds: Invalid value: 0: must be greater than or equal to PodInitialBackoffSeconds",
        ),
        ("profiles: [{ schedulerName: a }, { schedulerName: a }]", "profiles[1].schedulerName: Duplicate value: \"a\""),
        ("profiles: [{}, { schedulerName: a }]", "profiles[0].schedulerName: Required value"),
        (
            "leaderElection: { retryPeriod: 0s }",
            "leaderElection.retryPeriod: Invalid value: \"0s\": must be greater than zero",
        ),
        (
            "leaderElection: { leaseDuration: 5s, renewDeadline: 10s }",
            "leaderElection.leaseDuration: Invalid value: \"10s\": LeaseDuration must be greater than RenewDeadline",
        ),
    ] {
        assert_eq!(read(yaml).unwrap_err().to_string(), expected);
    }
}

#[test]
fn delays_and_leases_are_read() {
    let config = read(
        "podInitialBackoffSeconds: 2\npodMaxBackoffSeconds: 30\nleaderElection: { leaseDuration: 1m30s, leaderElect: false }",
    );
    let config = config.unwrap();
    assert_eq!(config.delays().initial_backoff, Duration::from_secs(2));
    assert_eq!(config.delays().max_backoff, Duration::from_secs(30));
    assert_eq!(config.leader_election.lease_duration, Duration::from_secs(90));
    assert!(!config.leader_election.leader_elect);
}

#[test]
fn extenders_are_checked_in_kubernetes_words() {
    let one =
        |fields: &str| read(&format!("extenders: [{{ urlPrefix: 'http://a', {fields} }}]")).unwrap_err().to_string();
    let positive = "must have a positive weight applied to it";
    assert_eq!(one("prioritizeVerb: p"), format!("extenders[0].weight: Invalid value: 0: {positive}"));
    assert_eq!(one("prioritizeVerb: p, weight: -1"), format!("extenders[0].weight: Invalid value: -1: {positive}"));
    assert_eq!(
        one("managedResources: [{ name: cpu }]"),
        "extenders[0].managedResources[0].name: Invalid value: \"cpu\": is an invalid extended resource name"
    );
    assert!(
        one("managedResources: [{ name: 'a b/c' }]")
            .contains("managedResources[0].name: Invalid value: \"a b/c\": prefix")
    );
    assert_eq!(
        read("extenders: [{ urlPrefix: 'http://a', managedResources: [{ name: b.c/d }] }, { urlPrefix: 'http://e', managedResources: [{ name: b.c/d }] }]")
            .unwrap_err()
            .to_string(),
        "extenders[1].managedResources[0].name: Invalid value: \"b.c/d\": duplicate extender managed resource name"
    );
    assert_eq!(
        read("extenders: [{ urlPrefix: 'http://a', bindVerb: b }, { urlPrefix: 'http://c', bindVerb: d }]")
            .unwrap_err()
            .to_string(),
        "extenders: Invalid value: \"found 2 extenders implementing bind\": only one extender can implement bind"
    );
    assert!(one("filterVerb: 'a b'").starts_with("extenders[0].filterVerb: Invalid value: \"a b\": "));
    let field = one("filterVerbs: f");
    assert!(field.starts_with("strict decoding error: extenders[0].filterVerbs: unknown field"), "{field}");
}

#[test]
fn extenders_have_urls() {
    for url in ["", "/path", "a.b:80", "ftp://a.b", "http://a.b/?c=d", "http://"] {
        let refused = read(&format!("extenders: [{{ urlPrefix: '{url}' }}]")).unwrap_err().to_string();
        let words = "must be an absolute URL of http or https";
        assert_eq!(refused, format!("extenders[0].urlPrefix: Invalid value: {url:?}: {words}"));
    }
    assert!(read("extenders: [{ urlPrefix: 'https://a.b:8443/c/' }]").is_ok());
}

#[test]
fn all_fields_of_extenders_are_read() {
    let config = read(
        "extenders:
- urlPrefix: https://127.0.0.1:8443/x
  filterVerb: filter
  preemptVerb: preempt
  prioritizeVerb: prioritize
  weight: 5
  bindVerb: bind
  enableHTTPS: true
  tlsConfig: { serverName: a.b, certFile: c, keyFile: k, caFile: a, certData: Yw==, keyData: aw==, caData: YQ==, insecure: false }
  httpTimeout: 1m30s
  nodeCacheCapable: true
  managedResources: [{ name: a.b/c, ignoredByScheduler: true }]
  ignorable: true
",
    )
    .unwrap();
    let [extender] = &*config.extenders else { panic!("one is there") };
    assert_eq!((extender.weight, extender.http_timeout), (5, Duration::from_secs(90)));
    assert!(extender.enable_https && extender.node_cache_capable && extender.ignorable);
    assert!(extender.managed_resources[0].ignored_by_scheduler);
    let tls = extender.tls_config.as_ref().unwrap();
    assert_eq!((&*tls.server_name, &*tls.key_data), ("a.b", "aw=="));
    assert!(!format!("{config:?}").contains("aw=="), "keys are not told");
}

#[test]
fn extenders_need_tokio() {
    let error = read("extenders: [{ urlPrefix: 'http://a' }]").unwrap().profiles(&Registry::kubernetes()).unwrap_err();
    assert!(
        error.to_string().starts_with("couldn't build extenders: http://a: there is no reactor running"),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_wrong_with_tls_is_told_before_anybody_is_asked() {
    let refused = |tls: &str| {
        let config =
            read(&format!("extenders: [{{ urlPrefix: 'https://a.b', enableHTTPS: true, tlsConfig: {{ {tls} }} }}]"));
        config.unwrap().profiles(&Registry::kubernetes()).unwrap_err().to_string()
    };
    let failed = "couldn't build extenders: https://a.b: ";
    assert_eq!(
        refused("insecure: true, caFile: a"),
        format!("{failed}specifying a root certificates file with the insecure flag is not allowed")
    );
    assert!(refused("caFile: /no/such/file").starts_with(failed));
    assert!(refused("caData: '?'").starts_with(failed));
    assert!(refused("certFile: /no/such/file, keyFile: /no/such/file").starts_with(failed));
}

#[test]
fn what_extenders_manage_may_be_ignored_by_the_plugin() {
    let managed = "extenders: [{ urlPrefix: 'http://a', managedResources: [{ name: a.b/c, ignoredByScheduler: true }, { name: a.b/d }] }]";
    let config = read(managed).unwrap();
    let ignored = merge::ignored_resources(&config);
    assert_eq!(ignored, ["a.b/c"]);
    for (mut args, expected) in [
        (Value::Null, serde_json::json!({ "ignoredResources": ["a.b/c"] })),
        (
            serde_json::json!({ "ignoredResources": ["x.y/z"] }),
            serde_json::json!({ "ignoredResources": ["x.y/z", "a.b/c"] }),
        ),
        (serde_json::json!(7), serde_json::json!(7)),
    ] {
        merge::ignore(&mut args, &ignored);
        assert_eq!(args, expected);
    }
}
