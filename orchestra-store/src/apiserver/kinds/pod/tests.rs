use serde_json::{Value, json};

use super::*;
use crate::apiserver::{field::Path, strategy::UserInfo};

fn ctx() -> RequestContext {
    let namespace = Some("golden".to_owned());
    RequestContext { namespace, now: Timestamp::UNIX_EPOCH, user: UserInfo::default(), dry_run: false }
}

fn created(spec: Value) -> Pod {
    let body = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec});
    let mut pod = serde_json::from_value(body).unwrap();
    Pods.default(&mut pod);
    Pods.prepare_for_create(&ctx(), &mut pod);
    pod
}

/// What is wrong with a new pod, one line a finding.
fn errors(spec: Value) -> Vec<String> {
    Pods.validate(&ctx(), &created(spec)).iter().map(ToString::to_string).collect()
}

/// What is wrong with a new pod of one good container and these fields.
fn errors_with(fields: Value) -> Vec<String> {
    let mut spec = json!({"containers": [{"name": "a", "image": "x"}]});
    spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    errors(spec)
}

/// What is wrong with a new pod whose container has these fields.
fn container_errors(fields: Value) -> Vec<String> {
    let mut container = json!({"name": "a", "image": "x"});
    container.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    errors(json!({"containers": [container]}))
}

fn updated(old: &Pod, change: impl FnOnce(&mut PodSpec)) -> Vec<String> {
    let mut new = old.clone();
    change(new.spec.as_mut().unwrap());
    Pods.default(&mut new);
    Pods.prepare_for_update(&ctx(), &mut new, old);
    Pods.validate_update(&ctx(), &new, old).iter().map(ToString::to_string).collect()
}

#[test]
fn what_a_pod_leaves_out_is_filled_in() {
    let pod = created(json!({"containers": [{"name": "main", "image": "nginx:1.27",
        "resources": {"requests": {"cpu": "0.1", "memory": "65536Ki"}}}]}));
    assert_eq!(
        serde_json::to_value(&pod.spec).unwrap(),
        json!({
            "containers": [{
                "name": "main", "image": "nginx:1.27", "imagePullPolicy": "IfNotPresent",
                "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"
            }],
            "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
            "securityContext": {}, "schedulerName": "default-scheduler", "enableServiceLinks": true
        })
    );
    assert_eq!(serde_json::to_value(&pod.status).unwrap(), json!({"phase": "Pending", "qosClass": "Burstable"}));
}

#[test]
fn defaulting_twice_changes_nothing() {
    let once = created(json!({
        "hostNetwork": true, "serviceAccount": "x", "volumes": [{"name": "v"}, {"name": "s", "secret": {"secretName": "s"}}],
        "containers": [{"name": "a", "image": "x", "ports": [{"containerPort": 80}], "livenessProbe": {"httpGet": {"port": 80}},
            "resources": {"limits": {"cpu": "1"}}}]
    }));
    let mut twice = once.clone();
    Pods.default(&mut twice);
    assert_eq!(once, twice);
    let spec = serde_json::to_value(&once.spec).unwrap();
    assert_eq!(spec["containers"][0]["ports"], json!([{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}]));
    let probe = json!({"httpGet": {"path": "/", "port": 80, "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 10,
        "successThreshold": 1, "failureThreshold": 3});
    assert_eq!(spec["containers"][0]["livenessProbe"], probe);
    assert_eq!(spec["containers"][0]["resources"], json!({"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}));
    assert_eq!(spec["volumes"][0], json!({"name": "v", "emptyDir": {}}));
    assert_eq!(spec["volumes"][1]["secret"]["defaultMode"], 420);
    assert_eq!(spec["serviceAccountName"], "x");
}

#[test]
fn a_template_has_fewer_defaults() {
    let mut template = serde_json::from_value(json!({"spec": {"containers": [{"name": "a", "image": "x",
        "resources": {"limits": {"cpu": "1"}}}]}}))
    .unwrap();
    template::default(&mut template);
    let spec = serde_json::to_value(&template.spec).unwrap();
    assert_eq!(spec.get("enableServiceLinks"), None);
    assert_eq!(spec["containers"][0]["resources"], json!({"limits": {"cpu": "1"}}));
    assert_eq!(template::validate(&template, &Path::new("spec").child("template")), []);
}

#[test]
fn containers_are_checked_in_kubernetes_words() {
    assert_eq!(errors(json!({"containers": []})), ["spec.containers: Required value"]);
    assert_eq!(errors(json!({"containers": [{"name": "a"}]})), ["spec.containers[0].image: Required value"]);
    assert_eq!(
        errors(json!({"containers": [{"name": "a", "image": "x"}, {"name": "a", "image": "x"}]})),
        [r#"spec.containers[1].name: Duplicate value: "a""#]
    );
    assert_eq!(
        container_errors(json!({"resources": {"requests": {"cpu": "-1"}}})),
        [r#"spec.containers[0].resources.requests[cpu]: Invalid value: "-1": must be greater than or equal to 0"#]
    );
    assert_eq!(
        container_errors(json!({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}})),
        [r#"spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1"#]
    );
    assert_eq!(
        container_errors(json!({"ports": [{"containerPort": 70000}]})),
        ["spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive"]
    );
    assert_eq!(
        container_errors(json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]})),
        [r#"spec.containers[0].volumeMounts[0].name: Not found: "v""#]
    );
    assert_eq!(
        container_errors(
            json!({"env": [{"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "spec.x"}}}]})
        ),
        [
            r#"spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: "spec.x": error converting fieldPath: field label not supported: spec.x"#,
            r#"spec.containers[0].env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty"#
        ]
    );
    assert_eq!(
        container_errors(json!({"resources": {"requests": {"gpu": "1"}}})),
        [
            r#"spec.containers[0].resources.requests[gpu]: Invalid value: "gpu": must be a standard resource type or fully qualified"#,
            r#"spec.containers[0].resources.requests[gpu]: Invalid value: "gpu": must be a standard resource for containers"#,
        ]
    );
}

#[test]
fn probes_and_hooks_do_one_thing() {
    let liveness =
        json!({"livenessProbe": {"exec": {"command": ["a"]}, "tcpSocket": {"port": 1}, "successThreshold": 2}});
    assert_eq!(
        container_errors(liveness),
        [
            "spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
            "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1"
        ]
    );
    assert_eq!(
        container_errors(json!({"readinessProbe": {}})),
        ["spec.containers[0].readinessProbe: Required value: must specify a handler type"]
    );
    let init = json!([{"name": "i", "image": "x", "lifecycle": {}}]);
    assert_eq!(
        errors_with(json!({"initContainers": init})),
        [
            "spec.initContainers[0].lifecycle: Forbidden: may not be set for init containers without restartPolicy=Always"
        ]
    );
}

#[test]
fn the_pod_itself_is_checked() {
    assert_eq!(
        errors_with(json!({"restartPolicy": "Sometimes"})),
        [r#"spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never""#]
    );
    assert_eq!(
        errors_with(json!({"tolerations": [{"operator": "Exists", "value": "x"}]})),
        [r#"spec.tolerations[0].operator: Invalid value: "x": value must be empty when `operator` is 'Exists'"#]
    );
    let required = json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}});
    assert_eq!(
        errors_with(json!({"affinity": {"nodeAffinity": required}})),
        [
            "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: must have at least one node selector term"
        ]
    );
    assert_eq!(
        errors_with(json!({"activeDeadlineSeconds": 0})),
        ["spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"]
    );
    assert_eq!(
        errors_with(json!({"nodeName": "n", "schedulingGates": [{"name": "g"}]})),
        ["spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared"]
    );
    assert_eq!(
        errors_with(json!({"volumes": [{"name": "v", "emptyDir": {}, "hostPath": {"path": "/"}}]})),
        ["spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"]
    );
    let file = |name: &str| json!({"name": name, "items": [{"key": "k", "path": "same"}]});
    let sources = json!([{"configMap": file("a")}, {"secret": file("b"), "downwardAPI": {}}]);
    assert_eq!(
        errors_with(json!({"volumes": [{"name": "v", "projected": {"sources": sources}}]})),
        [
            "spec.volumes[0].projected.sources[1]: Forbidden: may not specify more than 1 volume type per source",
            r#"spec.volumes[0].projected: Invalid value: "b": conflicting duplicate paths"#
        ]
    );
    let spread = json!({"maxSkew": 0, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule"});
    assert_eq!(
        errors_with(json!({"topologySpreadConstraints": [spread, spread]})),
        [
            "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
            r#"spec.topologySpreadConstraints[0].{topologyKey, whenUnsatisfiable}: Duplicate value: "{z, DoNotSchedule}""#,
            "spec.topologySpreadConstraints[1].maxSkew: Invalid value: 0: must be greater than zero",
        ]
    );
}

/// Fields of a pod with something of everything.
fn everything() -> Value {
    let selector =
        json!({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]});
    json!({
        "initContainers": [{"name": "i", "image": "x", "restartPolicy": "Always", "startupProbe": {"grpc": {"port": 1}},
            "env": [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}}],
            "ports": [{"name": "http", "containerPort": 80, "hostPort": 8080}], "volumeMounts": [{"name": "t", "mountPath": "/t", "subPath": "a"}],
            "lifecycle": {"preStop": {"sleep": {"seconds": 1}}}, "resources": {"limits": {"cpu": "1", "example.com/gpu": "1"}}}],
        "volumes": [{"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}},
            {"downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels['app']"}}]}}]}}],
        "serviceAccountName": "default", "hostname": "h", "priorityClassName": "system-node-critical",
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector}],
        "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 1, "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname", "labelSelector": selector}}]}},
        "tolerations": [{"operator": "Exists"}, {"key": "a", "value": "b", "effect": "NoSchedule"}],
        "dnsPolicy": "None", "dnsConfig": {"nameservers": ["1.1.1.1"], "searches": ["a.b."]},
        "hostAliases": [{"ip": "127.0.0.1", "hostnames": ["a.b"]}],
        "securityContext": {"runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    })
}

#[test]
fn the_group_of_a_pod_is_named_and_stays() {
    let with = |group: Value| errors_with(json!({"schedulingGroup": group}));
    assert_eq!(with(json!({"podGroupName": "g.x"})), Vec::<String>::new());
    assert_eq!(with(json!({})), [r#"spec.schedulingGroup: Invalid value: "": must specify one of: `podGroupName`"#]);
    assert!(
        with(json!({"podGroupName": "G"}))[0].starts_with(r#"spec.schedulingGroup.podGroupName: Invalid value: "G""#)
    );
    let old = created(json!({"containers": [{"name": "a", "image": "x"}], "schedulingGroup": {"podGroupName": "g"}}));
    assert_eq!(updated(&old, |_| ()), Vec::<String>::new());
    let found = updated(&old, |spec| spec.scheduling_group = None);
    assert!(found[0].starts_with("spec: Forbidden: pod updates may not change fields"), "{found:?}");
}

#[test]
fn a_pod_with_every_kind_of_field_is_right() {
    assert_eq!(errors_with(everything()), Vec::<String>::new());
}

/// Every copy of `value` with one scalar replaced by another.
fn variants(value: &Value) -> Vec<Value> {
    let put = |inner: Vec<Value>, set: &dyn Fn(&mut Value, Value)| {
        inner
            .into_iter()
            .map(|part| {
                let mut whole = value.clone();
                set(&mut whole, part);
                whole
            })
            .collect::<Vec<_>>()
    };
    match value {
        Value::Object(fields) => {
            fields.iter().flat_map(|(key, part)| put(variants(part), &|whole, part| whole[key] = part)).collect()
        }
        Value::Array(items) => {
            items.iter().enumerate().flat_map(|(i, part)| put(variants(part), &|whole, part| whole[i] = part)).collect()
        }
        Value::Number(_) => vec![json!(0), json!(-1), json!(i32::MIN), json!(i32::MAX)],
        Value::String(_) => {
            ["", "-", "/", "..", "a/b/c", "é", "['", "metadata.labels['']", "@", ":", "None"].map(Value::from).to_vec()
        }
        _ => vec![json!(true), json!(false), Value::Null],
    }
}

#[test]
fn odd_values_are_findings_not_panics() {
    let base = created(json!({"containers": [{"name": "a", "image": "x"}]}));
    for mut fields in variants(&everything()) {
        fields["containers"] = json!([{"name": "a", "image": "x"}]);
        let Ok(spec) = serde_json::from_value::<PodSpec>(fields.clone()) else { continue };
        let mut pod = Pod { spec: Some(spec), ..Pod::default() };
        Pods.default(&mut pod);
        let once = pod.clone();
        Pods.default(&mut pod);
        assert_eq!(once, pod, "{fields}");
        Pods.prepare_for_create(&ctx(), &mut pod);
        Pods.validate(&ctx(), &pod);
        Pods.validate_update(&ctx(), &pod, &base);
        assert_eq!(Pods.cells(&pod, Timestamp::UNIX_EPOCH).len(), Pods.columns().len());
    }
}

#[test]
fn an_update_changes_images_and_little_else() {
    let old = created(json!({"containers": [{"name": "main", "image": "nginx:1.27"}],
        "tolerations": [{"key": "a", "operator": "Exists"}]}));
    assert_eq!(updated(&old, |spec| spec.containers[0].image = Some("nginx:1.28".to_owned())), Vec::<String>::new());
    assert_eq!(
        updated(&old, |spec| spec.tolerations.iter_mut().flatten().for_each(|t| t.key = Some("b".to_owned()))),
        ["spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"]
    );
    let found = updated(&old, |spec| spec.node_name = Some("x".to_owned()));
    assert!(found[0].starts_with("spec: Forbidden: pod updates may not change fields other than"), "{found:?}");
    assert_eq!(
        updated(&old, |spec| spec.containers.clear()),
        ["spec.containers: Required value", "spec.containers: Forbidden: pod updates may not add or remove containers"]
    );
}

#[test]
fn generation_follows_the_spec() {
    let old = created(json!({"containers": []}));
    let mut new = old.clone();
    new.metadata.labels = Some([("a".to_owned(), "b".to_owned())].into());
    assert_eq!(Pods.changes_generation(&new, &old), Some(false));
    new.spec.as_mut().unwrap().hostname = Some("h".to_owned());
    assert_eq!(Pods.changes_generation(&new, &old), Some(true));
}

#[test]
fn the_row_has_a_value_for_each_selectable_field() {
    let pod = created(json!({"containers": [], "nodeName": "n1", "hostNetwork": true}));
    let fields: Vec<_> = Pods.selectable_fields().iter().zip(Pods.fields(&pod)).collect();
    assert_eq!(fields.len(), Pods.selectable_fields().len());
    assert!(fields.contains(&(&"spec.nodeName", "n1".to_owned())));
    assert!(fields.contains(&(&"spec.hostNetwork", "true".to_owned())));
    assert!(fields.contains(&(&"status.phase", "Pending".to_owned())));
    assert_eq!(row().short_names, ["po"]);
}

#[test]
fn claims_of_devices_are_there_or_made_and_named_once() {
    let claims = |claims: Value| errors_with(json!({ "resourceClaims": claims }));
    let made = json!({ "name": "gpu", "resourceClaimTemplateName": "t" });
    assert_eq!(claims(json!([made, { "name": "nic", "resourceClaimName": "c" }])), Vec::<String>::new());
    assert_eq!(claims(json!([made, made])), ["spec.resourceClaims[1].name: Duplicate value: \"gpu\""]);
    assert_eq!(
        claims(json!([{ "name": "gpu" }])),
        [
            r#"spec.resourceClaims[0]: Invalid value: {"Name":"gpu","ResourceClaimName":null,"ResourceClaimTemplateName":null}: must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"#
        ]
    );
    assert_eq!(
        claims(json!([{ "name": "gpu", "resourceClaimName": "a", "resourceClaimTemplateName": "b" }])),
        [
            r#"spec.resourceClaims[0]: Invalid value: {"Name":"gpu","ResourceClaimName":"a","ResourceClaimTemplateName":"b"}: at most one of `resourceClaimName`, `resourceClaimTemplateName` may be specified"#
        ]
    );
    assert_eq!(
        claims(json!([{ "name": "", "resourceClaimName": "a" }])),
        ["spec.resourceClaims[0].name: Required value"]
    );
}

#[test]
fn containers_use_claims_of_their_pod() {
    let using = |used: Value, claims: Value| {
        let container = json!({ "name": "a", "image": "x", "resources": { "claims": used } });
        errors(json!({ "containers": [container], "resourceClaims": claims }))
    };
    let claims = json!([{ "name": "gpu", "resourceClaimName": "c" }]);
    assert_eq!(using(json!([{ "name": "gpu" }]), claims.clone()), Vec::<String>::new());
    let requests = json!([{ "name": "gpu", "request": "a" }, { "name": "gpu", "request": "b" }]);
    assert_eq!(using(requests, claims.clone()), Vec::<String>::new());
    let path = "spec.containers[0].resources.claims";
    assert_eq!(
        using(json!([{ "name": "gpu" }, { "name": "gpu", "request": "a" }]), claims.clone()),
        [format!("{path}[1]: Duplicate value: \"gpu/a\"")]
    );
    assert_eq!(
        using(json!([{ "name": "nic" }]), claims),
        [format!("{path}[0].name: Not found: \"nic\": must be one of the names in pod.spec.resourceClaims: gpu")]
    );
    assert_eq!(
        using(json!([{ "name": "nic" }]), json!([])),
        [format!(
            "{path}[0].name: Not found: \"nic\": must be one of the names in pod.spec.resourceClaims which is empty"
        )]
    );
}

#[test]
fn mounts_below_a_mount_are_read_only_where_it_is() {
    let mount = |fields: Value| {
        let mut mount = json!({"name": "v", "mountPath": "/v"});
        mount.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        errors(
            json!({"volumes": [{"name": "v"}], "containers": [{"name": "a", "image": "x", "volumeMounts": [mount]}]}),
        )
    };
    let path = "spec.containers[0].volumeMounts.recursiveReadOnly";
    assert!(mount(json!({"readOnly": true, "recursiveReadOnly": "Enabled"})).is_empty());
    assert_eq!(
        mount(json!({"recursiveReadOnly": "IfPossible", "mountPropagation": "HostToContainer"})),
        [
            format!("{path}: Forbidden: may only be specified when readOnly is true"),
            format!("{path}: Forbidden: may only be specified when mountPropagation is None or not specified"),
        ]
    );
    assert_eq!(
        mount(json!({"recursiveReadOnly": "Never"})),
        [format!(r#"{path}: Unsupported value: "Never": supported values: "Disabled", "Enabled", "IfPossible""#)]
    );
}

#[test]
fn huge_pages_are_whole() {
    let limits = json!({"cpu": "1", "hugepages-2Mi": "3Mi", "hugepages-1Gi": "2Gi"});
    let at = |list: &str| {
        format!(
            r#"spec.containers[0].resources.{list}[hugepages-2Mi]: Invalid value: "3Mi": 3Mi is not positive integer multiple of hugepages-2Mi"#
        )
    };
    assert_eq!(container_errors(json!({"resources": {"limits": limits}})), [at("limits"), at("requests")]);
}

#[test]
fn kernel_parameters_are_named_and_the_pods_own() {
    let with = |name: &str, fields: Value| {
        let mut fields = fields;
        fields["securityContext"] = json!({"sysctls": [{"name": name, "value": "1"}]});
        errors_with(fields)
    };
    let path = "spec.securityContext.sysctls[0].name";
    assert!(with("net.ipv4.conf/eth0.forwarding", json!({})).is_empty());
    let regex = r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?";
    let wrong = format!(r#"{path}: Invalid value: "Net..x": must have at most 253 characters and match regex {regex}"#);
    assert_eq!(with("Net..x", json!({})), [wrong]);
    assert_eq!(with("", json!({})), [format!("{path}: Required value")]);
    let of_the_host = |name: &str, field: &str| {
        format!(r#"{path}: Invalid value: "{name}": may not be specified when '{field}' is true"#)
    };
    let net = "net.ipv4.tcp_syncookies";
    assert_eq!(with(net, json!({"hostNetwork": true})), [of_the_host(net, "hostNetwork")]);
    assert_eq!(with("kernel.shmmax", json!({"hostIPC": true})), [of_the_host("kernel.shmmax", "hostIPC")]);
}

#[test]
fn what_one_system_has_is_not_asked_of_another() {
    let fields = json!({"os": {"name": "windows"}, "hostPID": true, "securityContext": {"runAsUser": 1, "sysctls": []},
        "containers": [{"name": "a", "image": "x", "securityContext": {"privileged": true}}]});
    let forbidden = |field: &str| format!("spec.{field}: Forbidden: cannot be set for a windows pod");
    let expected = ["hostPID", "securityContext.runAsUser", "containers[0].securityContext.privileged"];
    assert_eq!(errors_with(fields), expected.map(forbidden));
    let fields = json!({"os": {"name": "linux"}, "securityContext": {"windowsOptions": {"runAsUserName": "x"}}});
    let wrong = "spec.securityContext.windowsOptions: Forbidden: windows options cannot be set for a linux pod";
    assert_eq!(errors_with(fields), [wrong]);
}

#[test]
fn rules_for_restarts_need_a_policy_and_exit_codes() {
    let path = "spec.containers[0]";
    assert_eq!(
        container_errors(json!({"restartPolicyRules": [{"action": "Stop"}]})),
        [
            format!("{path}.restartPolicy: Required value: must specify restartPolicy when restart rules are used"),
            format!(r#"{path}.restartPolicyRules[0].action: Unsupported value: "Stop": supported values: "Restart""#),
            format!("{path}.restartPolicyRules[0].exitCodes: Required value: must be specified"),
        ]
    );
    let rule = json!({"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}});
    assert!(container_errors(json!({"restartPolicy": "Never", "restartPolicyRules": [rule]})).is_empty());
}

#[test]
fn all_of_proc_is_for_pods_with_users_of_their_own() {
    let unmasked = json!({"procMount": "Unmasked"});
    let wrong = "spec.containers[0].securityContext.procMount: Invalid value: \"Unmasked\": `hostUsers` must be false to use `Unmasked`";
    assert_eq!(container_errors(json!({ "securityContext": unmasked })), [wrong]);
    let container = json!({"name": "a", "image": "x", "securityContext": unmasked});
    assert!(errors(json!({"hostUsers": false, "containers": [container]})).is_empty());
}

#[test]
fn storage_of_others_is_named_whole() {
    let with = |source: &str, fields: Value| errors_with(json!({"volumes": [{"name": "v", source: fields}]}));
    let at = |field: &str| format!("spec.volumes[0].{field}");
    let iscsi = json!({"targetPortal": "", "iqn": "disk", "lun": 300, "chapAuthSession": true});
    assert_eq!(
        with("iscsi", iscsi),
        [
            format!("{}: Required value", at("iscsi.targetPortal")),
            format!(
                r#"{}: Invalid value: "disk": must be valid format starting with iqn, eui, or naa"#,
                at("iscsi.iqn")
            ),
            format!("{}: Invalid value: 300: must be between 0 and 255, inclusive", at("iscsi.lun")),
            format!("{}: Required value", at("iscsi.secretRef")),
        ]
    );
    assert_eq!(with("cephfs", json!({"monitors": []})), [format!("{}: Required value", at("cephfs.monitors"))]);
    assert_eq!(
        with("fc", json!({"targetWWNs": ["a"]})),
        [format!("{}: Required value: lun is required if targetWWNs is specified", at("fc.lun"))]
    );
    assert_eq!(
        with("gitRepo", json!({"repository": "", "directory": "/x"})),
        [
            format!("{}: Required value", at("gitRepo.repository")),
            format!(r#"{}: Invalid value: "/x": must be a relative path"#, at("gitRepo.directory")),
        ]
    );
    let image = [
        format!(
            r#"{}: Unsupported value: "x": supported values: "Always", "IfNotPresent", "Never""#,
            at("image.pullPolicy")
        ),
        format!("{}: Required value", at("image.reference")),
    ];
    assert_eq!(with("image", json!({"pullPolicy": "x"})), image);
    assert_eq!(
        with("hostPath", json!({"path": "", "type": "x"})),
        [format!("{}: Required value", at("hostPath.path"))]
    );
}

#[test]
fn what_deletion_costs_is_a_number() {
    let cost = |text: &str| {
        let mut pod = created(json!({"containers": [{"name": "a", "image": "x"}]}));
        let annotation = ("controller.kubernetes.io/pod-deletion-cost".to_owned(), text.to_owned());
        pod.metadata.annotations = Some([annotation].into());
        Pods.validate(&ctx(), &pod).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    for good in ["0", "-5", "100"] {
        assert!(cost(good).is_empty(), "{good}");
    }
    for bad in ["", "+1", "01", "x", "4294967296"] {
        let path = "metadata.annotations[controller.kubernetes.io/pod-deletion-cost]";
        assert_eq!(cost(bad), [format!("{path}: Invalid value: {bad:?}: must be a 32bit integer")]);
    }
}
