use k8s_openapi::{api::core::v1::Pod, jiff::Timestamp};
use orchestra_core::{
    informer::Change,
    scheduler::{ClusterEvent, Diagnosis, EventKind, ScheduleError, Scheduler},
};
use serde_json::{Value, json};

use super::*;
use crate::{
    framework::{Filters, Framework},
    testing::{
        DeviceBuilder, ResourceClaimBuilder, TestCluster, device, device_class, node as test_node, pod, resource_claim,
        resource_slice,
    },
};

const DRIVER: &str = "gpu.example.com";

fn scheduler() -> Framework {
    Framework::builder().plugin(DynamicResources::default()).build()
}

/// Nodes `n1` and `n2`, and a class of all devices, `gpu`.
fn cluster() -> TestCluster {
    TestCluster::new().nodes([test_node("n1"), test_node("n2")]).object(device_class("gpu").build())
}

/// The same with these devices on `n1`.
fn with_devices(devices: impl IntoIterator<Item = DeviceBuilder>) -> TestCluster {
    let slice = devices.into_iter().fold(resource_slice(DRIVER, "n1"), |slice, device| slice.device(device));
    cluster().object(slice.build())
}

fn gpus(count: usize) -> TestCluster {
    with_devices((0..count).map(|index| device(format!("gpu-{index}"))))
}

fn claim() -> ResourceClaimBuilder {
    resource_claim("c").request("r", "gpu")
}

/// What a pod with this claim is given, as `request:device`, or what users are told.
fn devices(cluster: &TestCluster, claim: ResourceClaimBuilder) -> Result<Vec<String>, String> {
    allocation_of(cluster, claim).map(|allocation| {
        let results = allocation.devices.unwrap().results.unwrap();
        results.iter().map(|result| format!("{}:{}", result.request, result.device)).collect()
    })
}

fn allocation_of(cluster: &TestCluster, claim: ResourceClaimBuilder) -> Result<AllocationResult, String> {
    let cluster = cluster.clone().object(claim.build());
    let placement = scheduler().schedule(&pod("p").devices("c").info(), &cluster.snapshot(), 0);
    let placement = placement.map_err(|error| error.to_string())?;
    let [decided] = placement.claims.as_slice() else { panic!("{placement:?}") };
    Ok(decided.allocation.clone().unwrap())
}

fn names(names: &[&str]) -> Result<Vec<String>, String> {
    Ok(names.iter().map(|name| (*name).to_owned()).collect())
}

/// No node has what is asked for.
fn none() -> Result<Vec<String>, String> {
    Err("0/2 nodes are available: 2 cannot allocate all claims. still not schedulable".to_owned())
}

#[test]
fn a_pod_without_claims_goes_anywhere() {
    cluster().decide(&scheduler(), pod("p")).assert_bound_to_any(&["n1", "n2"]);
}

#[test]
fn a_pod_waits_until_its_claims_are_made() {
    let with = |statuses: Value| {
        let pod = pod("p").with(|pod: &mut Pod| {
            let claims = json!([{ "name": "gpu", "resourceClaimTemplateName": "t" }]);
            pod.spec.as_mut().unwrap().resource_claims = serde_json::from_value(claims).unwrap();
            pod.status.get_or_insert_default().resource_claim_statuses = serde_json::from_value(statuses).unwrap();
        });
        pod.info()
    };
    let plugin = DynamicResources::default();
    let waiting = plugin.pre_enqueue(&with(json!([]))).unwrap_err();
    assert_eq!(waiting.reasons(), ["pod \"default/p\": ResourceClaim not created yet"]);
    assert_eq!(plugin.pre_enqueue(&with(json!([{ "name": "gpu", "resourceClaimName": "c" }]))), Ok(()));
    let (old, made) = (with(json!([])), with(json!([{ "name": "gpu", "resourceClaimName": "c" }])));
    let event = |new: &PodInfo| ClusterEvent::PodUpdated { old: Arc::new(old.clone()), new: Arc::new(new.clone()) };
    assert!(plugin.may_help(&event(&made), &old) && !plugin.may_help(&event(&old), &old));
    // One that needs none goes on without.
    let decided = gpus(1);
    decided.decide(&scheduler(), with(json!([{ "name": "gpu" }]))).assert_bound_to_any(&["n1", "n2"]);
    // One that was made for another pod is not used.
    let foreign = gpus(1).object(claim().build());
    foreign
        .decide(&scheduler(), made)
        .assert_unschedulable("ResourceClaim default/c was not created for pod default/p (pod is not owner)");
}

#[test]
fn a_claim_has_to_be_there_and_to_stay() {
    let told = |cluster: TestCluster| cluster.decide(&scheduler(), pod("p").devices("c")).message().unwrap();
    assert_eq!(
        told(gpus(1)),
        "0/2 nodes are available: could not find claim \"default/c\". no new claims to deallocate"
    );
    let going = claim().with(|claim| {
        claim.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    });
    let message = told(gpus(1).object(going.build()));
    assert!(message.starts_with("0/2 nodes are available: resourceclaim \"c\" is being deleted."), "{message}");
}

#[test]
fn a_class_has_to_be_there() {
    let message = devices(&gpus(1), resource_claim("c").request("r", "tpu")).unwrap_err();
    assert!(message.starts_with("0/2 nodes are available: request r: device class tpu does not exist."), "{message}");
    let alternatives = resource_claim("c").first_available("r", &[("a", "gpu", 1), ("b", "tpu", 1)]);
    let message = devices(&gpus(1), alternatives).unwrap_err();
    assert!(message.starts_with("0/2 nodes are available: request r/b: device class tpu does not exist."), "{message}");
}

#[test]
fn a_pod_goes_where_its_devices_are() {
    let allocation = allocation_of(&gpus(1), claim()).unwrap();
    let result = &allocation.devices.as_ref().unwrap().results.as_ref().unwrap()[0];
    assert_eq!((&*result.driver, &*result.pool, &*result.device, &*result.request), (DRIVER, "n1", "gpu-0", "r"));
    assert_eq!(
        serde_json::to_value(&allocation.node_selector).unwrap(),
        json!({ "nodeSelectorTerms": [{ "matchFields": [{ "key": "metadata.name", "operator": "In", "values": ["n1"] }] }] })
    );
    gpus(1).object(claim().build()).decide(&scheduler(), pod("p").devices("c")).assert_bound("n1");
    assert_eq!(devices(&gpus(0), claim()), none());
}

#[test]
fn so_many_devices_are_given_as_are_asked_for() {
    assert_eq!(devices(&gpus(3), claim().count(2)), names(&["r:gpu-0", "r:gpu-1"]));
    assert_eq!(devices(&gpus(1), claim().count(2)), none());
    let two = claim().request("s", "gpu");
    assert_eq!(devices(&gpus(2), two.clone()), names(&["r:gpu-0", "s:gpu-1"]));
    assert_eq!(devices(&gpus(1), two), none());
}

#[test]
fn all_devices_are_given_or_none() {
    assert_eq!(devices(&gpus(2), claim().all()), names(&["r:gpu-0", "r:gpu-1"]));
    assert_eq!(devices(&gpus(0), claim().all()), none());
    let one_taken = gpus(2).object(resource_claim("other").allocated("gpu.example.com/n1/gpu-1").build());
    assert_eq!(devices(&one_taken, claim().all()), none());
    let some = claim().all().selector("device.attributes['gpu.example.com'].index > 0");
    let numbered = with_devices((0..3).map(|index| device(format!("gpu-{index}")).number("index", index)));
    assert_eq!(devices(&numbered, some), names(&["r:gpu-1", "r:gpu-2"]));
}

#[test]
fn a_claim_has_32_devices_at_most() {
    assert_eq!(devices(&gpus(40), claim().count(32)).unwrap().len(), 32);
    assert_eq!(
        devices(&gpus(40), claim().count(33)),
        Err("running \"DynamicResources\" filter plugin: claim default/c: number of requested devices 33 exceeds the claim limit of 32".to_owned())
    );
    // An alternative that would be too many is passed over.
    let alternatives = claim().count(30).first_available("s", &[("many", "gpu", 8), ("few", "gpu", 2)]);
    let given = devices(&gpus(40), alternatives).unwrap();
    assert_eq!((given.len(), given[31].as_str()), (32, "s/few:gpu-31"));
}

#[test]
fn the_first_alternative_that_can_be_had_counts() {
    let cluster = with_devices([device("a").attribute("model", "big"), device("b"), device("c")])
        .object(device_class("big").selector("has(device.attributes['gpu.example.com'].model)").build());
    let claim = |count: i64| resource_claim("c").first_available("r", &[("best", "big", count), ("good", "gpu", 2)]);
    assert_eq!(devices(&cluster, claim(1)), names(&["r/best:a"]));
    assert_eq!(devices(&cluster, claim(2)), names(&["r/good:a", "r/good:b"]));
    let then = claim(1).request("s", "big");
    // The second request wants the only big one: the first is satisfied with its second alternative.
    let found = devices(&cluster, then);
    assert_eq!(found, names(&["r/good:b", "r/good:c", "s:a"]));
}

#[test]
fn every_combination_of_devices_is_tried() {
    let cluster = with_devices([device("a").attribute("model", "x"), device("b")]);
    let picky = claim().request("s", "gpu").selector("has(device.attributes['gpu.example.com'].model)");
    assert_eq!(devices(&cluster, picky), names(&["r:b", "s:a"]));
}

#[test]
fn selectors_of_class_and_request_both_hold() {
    let cluster = with_devices([
        device("a").attribute("model", "a100"),
        device("b").attribute("model", "a100").capacity("memory", "80Gi"),
        device("c").attribute("model", "h100").capacity("memory", "80Gi"),
    ])
    .object(device_class("a100").selector("device.attributes['gpu.example.com'].model == 'a100'").build());
    let big = "has(device.capacity['gpu.example.com'].memory) && device.capacity['gpu.example.com'].memory.compareTo(quantity('80Gi')) >= 0";
    assert_eq!(devices(&cluster, resource_claim("c").request("r", "a100").selector(big)), names(&["r:b"]));
    assert_eq!(devices(&cluster, claim().selector("device.driver == 'other'")), none());
}

#[test]
fn a_selector_that_cannot_tell_fails_the_attempt() {
    let fails = |cluster: &TestCluster, claim: ResourceClaimBuilder| {
        let cluster = cluster.clone().object(claim.build());
        match scheduler().schedule(&pod("p").devices("c").info(), &cluster.snapshot(), 0) {
            Err(ScheduleError::Internal(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        fails(&gpus(1), claim().selector("device.attributes['gpu.example.com'].model == 'x'")),
        "running \"DynamicResources\" filter plugin: claim default/c: selector #0 on device gpu.example.com/n1/gpu-0: CEL runtime error: no such key: model"
    );
    let broken = gpus(1).object(device_class("broken").selector("noSuchVar").build());
    let error = fails(&broken, resource_claim("c").request("r", "broken"));
    let begin = "running \"DynamicResources\" filter plugin: class broken: selector #0: CEL compile error: compilation failed: ";
    assert!(error.starts_with(begin), "{error}");
    // Where there is no device nobody is asked.
    assert_eq!(devices(&cluster(), claim().selector("noSuchVar")), none());
}

#[test]
fn devices_that_claims_have_are_taken() {
    let taken = gpus(2).object(resource_claim("other").allocated("gpu.example.com/n1/gpu-0").build());
    assert_eq!(devices(&taken, claim()), names(&["r:gpu-1"]));
    // One of the same name in another pool, or of another driver, is another.
    for other in ["gpu.example.com/n2/gpu-0", "nic.example.com/n1/gpu-0"] {
        let taken = gpus(1).object(resource_claim("other").allocated(other).build());
        assert_eq!(devices(&taken, claim()), names(&["r:gpu-0"]), "{other}");
    }
}

#[test]
fn devices_on_their_way_are_taken() {
    let mut snapshot =
        gpus(1).object(claim().build()).object(resource_claim("d").request("r", "gpu").build()).snapshot();
    let scheduler = scheduler();
    let first = scheduler.schedule(&pod("p").devices("c").info(), &snapshot, 0).unwrap();
    snapshot.pending_allocations_mut().insert(first.claims[0].clone());
    let next = |name: &str| scheduler.schedule(&pod("q").devices(name).info(), &snapshot, 0).unwrap_err().to_string();
    assert!(next("d").contains("2 cannot allocate all claims"), "{}", next("d"));
    // Who shares the claim waits, too.
    let expected = "resource claim default/c is in the process of being allocated";
    assert!(next("c").contains(expected), "{}", next("c"));
}

#[test]
fn one_after_the_other_gets_its_own() {
    let mut cluster = gpus(2);
    for name in ["a", "b", "c"] {
        cluster.add_object(resource_claim(name).request("r", "gpu").build());
    }
    let scheduler = scheduler();
    cluster.place(&scheduler, pod("p").devices("a")).assert_bound("n1");
    cluster.place(&scheduler, pod("q").devices("b")).assert_bound("n1");
    cluster.place(&scheduler, pod("r").devices("c")).assert_unschedulable("2 cannot allocate all claims");
    // A claim can be shared.
    cluster.place(&scheduler, pod("s").devices("a")).assert_bound("n1");
}

#[test]
fn administrators_get_what_is_in_use_once_a_claim() {
    let taken = || gpus(1).object(resource_claim("other").allocated("gpu.example.com/n1/gpu-0").build());
    let admin = claim().admin_access();
    assert_eq!(devices(&taken(), admin.clone()), names(&["r:gpu-0"]));
    let result = allocation_of(&taken(), admin.clone()).unwrap().devices.unwrap().results.unwrap().remove(0);
    assert_eq!(result.admin_access, Some(true));
    assert_eq!(devices(&taken(), admin.clone().count(2)), none());
    // What they have is not taken.
    let watched = gpus(1).object(
        resource_claim("other")
            .allocated("gpu.example.com/n1/gpu-0")
            .with(|claim| {
                let allocation = claim.status.as_mut().unwrap().allocation.as_mut().unwrap();
                allocation.devices.as_mut().unwrap().results.as_mut().unwrap()[0].admin_access = Some(true);
            })
            .build(),
    );
    assert_eq!(devices(&watched, claim()), names(&["r:gpu-0"]));
}

#[test]
fn devices_match_in_an_attribute() {
    let numa = |name: &str, numa: i64| device(name).number("numa", numa);
    let cluster = with_devices([numa("a", 0), numa("b", 1), numa("c", 1), device("d")]);
    let attribute = "gpu.example.com/numa";
    assert_eq!(devices(&cluster, claim().count(2).matching(attribute, &[])), names(&["r:b", "r:c"]));
    assert_eq!(devices(&cluster, claim().count(3).matching(attribute, &[])), none());
    // Only the requests that are named count.
    let others = claim().request("s", "gpu").request("t", "gpu").matching(attribute, &["s", "t"]);
    assert_eq!(devices(&cluster, others), names(&["r:a", "s:b", "t:c"]));
    // An alternative may be named alone, or its request.
    let of_alternative = resource_claim("c").first_available("r", &[("x", "gpu", 2)]).matching(attribute, &["r/x"]);
    assert_eq!(devices(&cluster, of_alternative), names(&["r/x:b", "r/x:c"]));
    // All have to match, or it is an error.
    let all = devices(&cluster, claim().all().matching(attribute, &[])).unwrap_err();
    assert!(all.ends_with("claim default/c, request r: cannot add device gpu.example.com/n1/b because a claim constraint would not be satisfied"), "{all}");
}

#[test]
fn devices_differ_in_an_attribute() {
    let numa = |name: &str, numa: i64| device(name).number("numa", numa);
    let cluster = with_devices([numa("a", 0), numa("b", 0), numa("c", 1)]);
    assert_eq!(devices(&cluster, claim().count(2).distinct("gpu.example.com/numa", &[])), names(&["r:a", "r:c"]));
    assert_eq!(devices(&cluster, claim().count(3).distinct("gpu.example.com/numa", &[])), none());
}

#[test]
fn slices_are_of_a_node_of_some_or_of_all() {
    let bare = || {
        TestCluster::new()
            .nodes([test_node("n1").zone("a"), test_node("n2").zone("b")])
            .object(device_class("gpu").build())
    };
    let slice = || resource_slice(DRIVER, "n1").pool("p", 1, 1).devices("gpu", 1);
    let everywhere = bare().object(slice().on_all_nodes().build());
    assert_eq!(allocation_of(&everywhere, claim()).unwrap().node_selector, None);
    let in_b = bare().object(slice().on_nodes("topology.kubernetes.io/zone=b").build());
    in_b.clone().object(claim().build()).decide(&scheduler(), pod("p").devices("c")).assert_bound("n2");
    let selector = allocation_of(&in_b, claim()).unwrap().node_selector.unwrap();
    let expected = json!([{ "key": "topology.kubernetes.io/zone", "operator": "In", "values": ["b"] }]);
    assert_eq!(serde_json::to_value(&selector.node_selector_terms[0].match_expressions).unwrap(), expected);
    let on_n2 = device("gpu-1").with(|device| device.node_name = Some("n2".to_owned()));
    let each = resource_slice(DRIVER, "n1").pool("p", 1, 1).per_device().device(on_n2);
    let cluster = bare().object(each.build()).object(claim().build());
    cluster.decide(&scheduler(), pod("p").devices("c")).assert_bound("n2");
}

#[test]
fn only_the_newest_generation_of_a_pool_counts() {
    let old = resource_slice(DRIVER, "n1").name("old").devices("old", 1).pool("n1", 1, 1);
    let new = resource_slice(DRIVER, "n1").name("new").devices("new", 1).pool("n1", 2, 1);
    let cluster = cluster().object(old.build()).object(new.build());
    assert_eq!(devices(&cluster, claim()), names(&["r:new-0"]));
    assert_eq!(devices(&cluster, claim().count(2)), none());
}

#[test]
fn nothing_is_taken_from_a_pool_that_is_not_all_there() {
    let half = cluster().object(resource_slice(DRIVER, "n1").devices("gpu", 1).pool("n1", 1, 2).build());
    assert_eq!(devices(&half, claim()), none());
    let all = devices(&half, claim().all()).unwrap_err();
    assert!(all.ends_with("claim default/c, request r: asks for all devices, but resource pool gpu.example.com/n1 is currently being updated"), "{all}");
    let whole = half.object(resource_slice(DRIVER, "n1").name("second").devices("second", 1).pool("n1", 1, 2).build());
    assert_eq!(devices(&whole, claim().count(2)).map(|devices| devices.len()), Ok(2));
}

#[test]
fn nothing_is_taken_from_a_pool_that_contradicts_itself() {
    let twice = cluster().object(resource_slice(DRIVER, "n1").devices("gpu", 1).devices("gpu", 1).build());
    assert_eq!(
        devices(&twice, claim()),
        Err("0/2 nodes are available: 1 cannot allocate all claims, 1 invalid resource pools were encountered. still not schedulable".to_owned())
    );
    let fine = twice.object(resource_slice("other.example.com", "n1").devices("gpu", 1).build());
    assert_eq!(devices(&fine, claim()), names(&["r:gpu-0"]));
}

#[test]
fn a_taint_keeps_off_who_does_not_tolerate_it() {
    let tainted = |taint: &str| with_devices([device("gpu-0").taint(taint)]);
    for taint in ["sick=yes:NoSchedule", "sick=yes:NoExecute"] {
        assert_eq!(devices(&tainted(taint), claim()), none(), "{taint}");
        for toleration in ["sick", "sick=yes", taint] {
            assert_eq!(devices(&tainted(taint), claim().tolerate(toleration)), names(&["r:gpu-0"]), "{toleration}");
        }
        assert_eq!(devices(&tainted(taint), claim().tolerate("sick=no")), none());
        assert_eq!(devices(&tainted(taint), claim().tolerate("other")), none());
    }
    let told = tainted("sick:NoSchedule");
    let harmless = with_devices([device("gpu-0").taint("sick:NoSchedule").with(|device| {
        device.taints.as_mut().unwrap()[0].effect = "None".to_owned();
    })]);
    assert_eq!(devices(&harmless, claim()), names(&["r:gpu-0"]), "that is only told");
    let result = allocation_of(&told, claim().tolerate("sick")).unwrap().devices.unwrap().results.unwrap().remove(0);
    assert_eq!(result.tolerations.unwrap().len(), 1, "what is tolerated is noted");
}

#[test]
fn devices_share_counters() {
    let partition = |name: &str, memory: i64| device(name).consumes("gpu-0", "memory", memory);
    let counters = resource_slice(DRIVER, "n1").name("counters").pool("n1", 1, 2).counter("gpu-0", "memory", 4);
    let partitions = resource_slice(DRIVER, "n1").pool("n1", 1, 2);
    let partitions = partitions.device(partition("whole", 4)).device(partition("a", 2)).device(partition("b", 2));
    let cluster = cluster().object(counters.build()).object(partitions.build());
    assert_eq!(devices(&cluster, claim()), names(&["r:whole"]));
    assert_eq!(devices(&cluster, claim().count(2)), names(&["r:a", "r:b"]), "the whole leaves nothing for another");
    assert_eq!(devices(&cluster, claim().count(3)), none());
    let taken = cluster.clone().object(resource_claim("other").allocated("gpu.example.com/n1/a").build());
    assert_eq!(devices(&taken, claim()), names(&["r:b"]));
    let all_taken = cluster.object(resource_claim("other").allocated("gpu.example.com/n1/whole").build());
    assert_eq!(devices(&all_taken, claim()), none());
}

fn policy(policy: Value) -> impl FnOnce(&mut k8s_openapi::api::resource::v1::Device) {
    move |device| {
        let capacity = device.capacity.as_mut().unwrap().get_mut("memory").unwrap();
        capacity.request_policy = serde_json::from_value(policy).unwrap();
    }
}

/// How much of the memory of a device with 10 a claim gets.
fn share(request_policy: Value, wanted: Option<i64>) -> Option<String> {
    let cluster = with_devices([device("gpu-0").shared().capacity("memory", 10).with(policy(request_policy))]);
    let claim = wanted.into_iter().fold(claim(), |claim, wanted| claim.capacity("memory", wanted));
    let allocation = allocation_of(&cluster, claim).ok()?;
    let result = allocation.devices.unwrap().results.unwrap().remove(0);
    assert!(result.share_id.is_some());
    Some(result.consumed_capacity.unwrap()["memory"].0.clone())
}

#[test]
fn a_share_of_a_device_is_what_its_policy_gives() {
    let amount = |amount: &str| Some(amount.to_owned());
    assert_eq!(share(json!(null), Some(3)), amount("3"));
    assert_eq!(share(json!(null), None), amount("10"), "all, if nothing is said");
    assert_eq!(share(json!({ "default": "2" }), None), amount("2"));
    let values = json!({ "default": "2", "validValues": ["2", "4", "8"] });
    assert_eq!(share(values.clone(), Some(3)), amount("4"));
    assert_eq!(share(values, Some(9)), None);
    let range = json!({ "default": "2", "validRange": { "min": "2", "max": "8", "step": "3" } });
    assert_eq!(share(range.clone(), Some(1)), amount("2"));
    assert_eq!(share(range.clone(), Some(3)), amount("5"));
    assert_eq!(share(range, Some(9)), None);
    assert_eq!(share(json!(null), Some(11)), None);
}

#[test]
fn a_shared_device_is_shared_as_long_as_there_is_enough() {
    let mut cluster = with_devices([device("gpu-0").shared().capacity("memory", 10)]);
    let scheduler = scheduler();
    for (name, amount) in [("a", 4), ("b", 4), ("c", 4), ("d", 2)] {
        cluster.add_object(resource_claim(name).request("r", "gpu").capacity("memory", amount).build());
    }
    cluster.place(&scheduler, pod("a").devices("a")).assert_bound("n1");
    cluster.place(&scheduler, pod("b").devices("b")).assert_bound("n1");
    cluster.place(&scheduler, pod("c").devices("c")).assert_unschedulable("2 cannot allocate all claims");
    cluster.place(&scheduler, pod("d").devices("d")).assert_bound("n1");
    let shares: BTreeSet<String> = ["a", "b", "d"]
        .map(|name| {
            let key = ObjectKey::namespaced("default", name);
            let claim = cluster.snapshot().objects().get::<ResourceClaim>(&key).unwrap().clone();
            let devices = allocation(&claim).unwrap().devices.clone().unwrap();
            devices.results.unwrap()[0].share_id.clone().unwrap()
        })
        .into();
    assert_eq!(shares.len(), 3, "each share has its own name");
    // What it does not have cannot be asked for, and of a device that is not shared it has to have enough.
    assert_eq!(devices(&gpus(1), claim().capacity("lanes", 1)), none());
    let whole = with_devices([device("gpu-0").capacity("memory", 10)]);
    assert_eq!(devices(&whole, claim().capacity("memory", 10)), names(&["r:gpu-0"]));
    assert_eq!(devices(&whole, claim().capacity("memory", 11)), none());
}

/// A device that has to become `ready`, and fails as `broken`.
fn conditional(name: &str) -> DeviceBuilder {
    device(name).binding_conditions(&["ready"], &["broken"])
}

#[test]
fn devices_that_have_to_become_ready_come_last_and_tell_what_for() {
    let pool = |name: &str, device: DeviceBuilder| {
        resource_slice(DRIVER, "n1").pool(name, 1, 1).name(name).device(device).build()
    };
    let cluster = cluster().object(pool("a", conditional("slow"))).object(pool("b", device("quick")));
    assert_eq!(devices(&cluster, claim()), names(&["r:quick"]));
    let result = |request: usize| {
        let allocation = allocation_of(&cluster, claim().count(2)).unwrap();
        let result = allocation.devices.unwrap().results.unwrap()[request].clone();
        (result.device, result.binding_conditions, result.binding_failure_conditions)
    };
    let said = |kind: &str| Some(vec![kind.to_owned()]);
    assert_eq!(result(0), ("quick".to_owned(), None, None));
    assert_eq!(result(1), ("slow".to_owned(), said("ready"), said("broken")));
}

/// A claim with such a device since the given second, of which the driver says these conditions.
fn waiting(since: i64, conditions: &[&str]) -> ResourceClaimBuilder {
    let claim = claim().allocated("gpu.example.com/n1/gpu-0").binding_conditions(&["ready"], &["broken"]);
    let conditions: Vec<(&str, bool)> = conditions.iter().map(|kind| (*kind, true)).collect();
    claim.allocated_at(Timestamp::from_second(since).unwrap()).device_conditions(&conditions)
}

/// What comes of a pod with this claim at the given second, if it is known, with a minute for devices to become ready.
fn at_second(second: Option<i64>, claim: ResourceClaimBuilder) -> Result<Placement, ScheduleError> {
    let args = serde_json::from_value(json!({ "bindingTimeout": "1m" })).unwrap();
    let scheduler = Framework::builder().plugin(DynamicResources::new(args).unwrap()).build();
    let mut snapshot = gpus(2).object(claim.build()).snapshot();
    second.into_iter().for_each(|second| snapshot.set_time(Timestamp::from_second(second).unwrap()));
    scheduler.schedule(&pod("p").devices("c").info(), &snapshot, 0)
}

#[test]
fn devices_that_fail_or_are_late_are_given_back() {
    let reason = "0/2 nodes are available: 2 resourceclaim not available on the node.";
    for (second, claim) in [(None, waiting(0, &["broken"])), (Some(100), waiting(0, &[])), (Some(60), waiting(0, &[]))]
    {
        let Err(ScheduleError::Unschedulable(diagnosis)) = at_second(second, claim) else { panic!("it fits") };
        assert_eq!(diagnosis.deallocation(), Some(&ObjectKey::namespaced("default", "c")));
        assert_eq!(diagnosis.to_string(), format!("{reason} deallocation of ResourceClaim completed"));
    }
    let in_time = [
        (Some(59), waiting(0, &[])),
        (None, waiting(0, &[])),
        (Some(100), waiting(0, &["ready"])),
        (Some(100), claim().allocated("gpu.example.com/n1/gpu-0")),
    ];
    for (second, claim) in in_time {
        assert_eq!(&*at_second(second, claim).unwrap().node, "n1");
    }
}

#[test]
fn a_pod_whose_claim_is_not_ready_waits_for_it_though_it_has_it() {
    let claims = |claim: ResourceClaimBuilder| at_second(None, claim.reserved_for("default/p")).unwrap().claims.len();
    assert_eq!((claims(waiting(0, &[])), claims(waiting(0, &["ready"]))), (1, 0));
}

#[test]
fn the_node_with_the_first_alternative_is_better() {
    let class = |name: &str| {
        device_class(name).selector(format!("device.attributes[\"{DRIVER}\"].model == \"{name}\"")).build()
    };
    let slice =
        |node: &str, model: &str| resource_slice(DRIVER, node).device(device("gpu-0").attribute("model", model));
    let cluster = cluster().object(class("large")).object(class("small"));
    let cluster = cluster.object(slice("n1", "small").build()).object(slice("n2", "large").build());
    let chosen = |claim: ResourceClaimBuilder| -> BTreeSet<(String, i64)> {
        let snapshot = cluster.clone().object(claim.build()).snapshot();
        let decide = |seed| scheduler().schedule(&pod("p").devices("c").info(), &snapshot, seed).unwrap();
        (0..8).map(decide).map(|placement| (placement.node.to_string(), placement.score)).collect()
    };
    let either =
        |first: &str, second: &str| resource_claim("c").first_available("r", &[("a", first, 1), ("b", second, 1)]);
    assert_eq!(chosen(either("large", "small")), [("n2".to_owned(), 100)].into());
    assert_eq!(chosen(either("small", "large")), [("n1".to_owned(), 100)].into());
    let any = chosen(claim());
    assert_eq!(any, [("n1".to_owned(), 0), ("n2".to_owned(), 0)].into(), "what leaves no choice compares no nodes");
}

#[test]
fn drivers_are_told_what_class_and_claim_say() {
    let cluster = gpus(2).object(device_class("slow").config(DRIVER, json!({ "of": "class" })).build());
    let claim = resource_claim("c")
        .request("r", "slow")
        .request("s", "gpu")
        .config(DRIVER, json!({ "of": "all" }), &[])
        .config(DRIVER, json!({ "of": "s" }), &["s"]);
    let config = allocation_of(&cluster, claim).unwrap().devices.unwrap().config.unwrap();
    let told: Vec<Value> = config
        .iter()
        .map(|one| json!([one.source, one.requests, one.opaque.as_ref().unwrap().parameters.0["of"]]))
        .collect();
    assert_eq!(
        json!(told),
        json!([["FromClass", ["r"], "class"], ["FromClaim", null, "all"], ["FromClaim", ["s"], "s"]])
    );
}

#[test]
fn an_allocated_claim_is_used_where_its_devices_are() {
    let allocated = claim().allocated("gpu.example.com/n1/gpu-0");
    let cluster = gpus(1).object(allocated.build());
    let scheduler = scheduler();
    let decision = cluster.decide(&scheduler, pod("p").devices("c"));
    decision.assert_bound("n1");
    let decided = &decision.result().unwrap().claims[0];
    assert_eq!((decided.allocation.as_ref(), decided.uid.as_str()), (None, "claim/c"), "it is only reserved");
    // One that is reserved already needs nothing.
    let reserved = gpus(1).object(claim().allocated("gpu.example.com/n1/gpu-0").reserved_for("default/p").build());
    assert!(reserved.decide(&scheduler, pod("p").devices("c")).result().unwrap().claims.is_empty());
}

#[test]
fn so_many_may_use_a_claim() {
    let used = |users: usize| {
        let claim = claim().allocated("gpu.example.com/n1/gpu-0");
        gpus(1).object((0..users).fold(claim, |claim, user| claim.reserved_for(format!("u{user}"))).build())
    };
    used(255).decide(&scheduler(), pod("p").devices("c")).assert_bound("n1");
    used(256).decide(&scheduler(), pod("p").devices("c")).assert_unschedulable("resourceclaim in use");
}

#[test]
fn an_unused_claim_that_is_in_the_way_gives_its_devices_back() {
    let elsewhere = |users: &[&str]| {
        let allocated = claim().allocated("gpu.example.com/n3/gpu-0");
        let claim = users.iter().fold(allocated, |claim, user| claim.reserved_for(*user));
        let cluster = gpus(1).object(claim.build());
        let error = scheduler().schedule(&pod("p").devices("c").info(), &cluster.snapshot(), 0).unwrap_err();
        let ScheduleError::Unschedulable(diagnosis) = error else { panic!("{error:?}") };
        (diagnosis.deallocation().map(ToString::to_string), diagnosis.to_string())
    };
    let reason = "0/2 nodes are available: 2 resourceclaim not available on the node.";
    for users in [&[][..], &["default/p"]] {
        let (deallocated, message) = elsewhere(users);
        assert_eq!(deallocated.as_deref(), Some("default/c"));
        assert_eq!(message, format!("{reason} deallocation of ResourceClaim completed"));
    }
    let (deallocated, message) = elsewhere(&["another"]);
    assert_eq!((deallocated, message), (None, format!("{reason} still not schedulable")));
}

#[test]
fn what_a_plugin_before_it_rejected_is_not_found() {
    let outcome = |state: &mut CycleState| {
        let (diagnosis, filters) = (Diagnosis::new(1), Filters::default());
        let failure = Failure { diagnosis: &diagnosis, filters: &filters, seed: 0 };
        DynamicResources::default().post_filter(state, &pod("p").info(), &Snapshot::default(), &failure)
    };
    let mut state = CycleState::default();
    assert_eq!(outcome(&mut state), PostFilterOutcome::Failed("not found".to_owned()));
    DynamicResources::default().pre_filter(&mut state, &pod("p").info(), &Snapshot::default());
    assert_eq!(outcome(&mut state), PostFilterOutcome::Unhelpful("no new claims to deallocate".to_owned()));
}

#[test]
fn a_search_that_takes_too_long_is_given_up() {
    let cluster = gpus(12).object(claim().count(13).build());
    let (snapshot, plugin) = (cluster.snapshot(), DynamicResources::default());
    let claims = plugin.claims(&pod("p").devices("c").info(), None, &snapshot).unwrap();
    let allocator = claims.wanted.unwrap();
    let node = snapshot.get("n1").unwrap();
    let steps = std::cell::Cell::new(0);
    let is_over = || steps.replace(steps.get() + 1) >= 100;
    let why = allocator.allocate(node, None, &is_over).err().unwrap();
    assert_eq!(
        (why.reasons().join(""), why.is_resolvable()),
        ("timed out trying to allocate devices".to_owned(), false)
    );
    assert_eq!(steps.get(), 101);
    let why = allocator.allocate(node, None, &|| false).err().unwrap();
    assert_eq!(why.reasons(), ["cannot allocate all claims"]);
}

#[test]
fn the_timeouts_are_arguments() {
    let read = |args: Value| serde_json::from_value::<DynamicResourcesArgs>(args).unwrap().read();
    let seconds = |filter: u64, binding: u64| Ok((Some(Duration::from_secs(filter)), Duration::from_secs(binding)));
    assert_eq!(read(json!({})), seconds(10, 600));
    assert_eq!(read(json!({ "filterTimeout": "1m" })), seconds(60, 600));
    assert_eq!(read(json!({ "filterTimeout": "0s" })), Ok((None, Duration::from_secs(600))), "no limit");
    assert_eq!(
        read(json!({ "filterTimeout": "-1s" })),
        Err("filterTimeout: Invalid value: \"-1s\": must be zero or positive".to_owned())
    );
    assert!(read(json!({ "filterTimeout": "soon" })).is_err());
    assert_eq!(read(json!({ "bindingTimeout": "1s" })), seconds(10, 1));
    let short = "bindingTimeout: Invalid value: \"999ms\": must be at least 1 second";
    assert_eq!(read(json!({ "bindingTimeout": "999ms" })), Err(short.to_owned()));
}

#[test]
fn thousands_of_choices_do_not_end_the_stack() {
    let mut cluster = gpus(3000);
    let mut many = pod("p");
    for index in 0..100 {
        let name = format!("c{index}");
        cluster.add_object(resource_claim(&name).request("r", "gpu").count(30).build());
        many = many.devices(&name);
    }
    cluster.decide(&scheduler(), many).assert_bound("n1");
}

fn may_help(event: ClusterEvent, pod: &PodInfo) -> bool {
    let plugin = DynamicResources::default();
    plugin.concerns(event.kind()) && plugin.may_help(&event, pod)
}

fn changed(old: ResourceClaimBuilder, new: ResourceClaimBuilder) -> ClusterEvent {
    let (old, new) = (Arc::new(old.build()), Arc::new(new.build()));
    ClusterEvent::ObjectChanged(Change::Updated { old, new }.into())
}

#[test]
fn devices_that_are_given_back_are_worth_another_attempt() {
    let pod = pod("p").devices("c").info();
    let other = || resource_claim("other").request("r", "gpu");
    let allocated = || other().allocated("gpu.example.com/n1/gpu-0");
    assert!(may_help(changed(allocated(), other()), &pod));
    assert!(!may_help(changed(other(), allocated()), &pod), "another got them");
    assert!(may_help(ClusterEvent::ObjectChanged(Change::Deleted(Arc::new(allocated().build())).into()), &pod));
    assert!(!may_help(ClusterEvent::ObjectChanged(Change::Deleted(Arc::new(other().build())).into()), &pod));
    let released = |pod: PodInfo| ClusterEvent::PodReleased(Arc::new(pod));
    assert!(may_help(released(crate::testing::pod("q").devices("d").info()), &pod));
    assert!(!may_help(released(crate::testing::pod("q").info()), &pod));
}

#[test]
fn news_of_the_pods_own_claim_is_worth_another_attempt() {
    let pod = pod("p").devices("c").info();
    let added =
        |claim: ResourceClaimBuilder| ClusterEvent::ObjectChanged(Change::Added(Arc::new(claim.build())).into());
    assert!(may_help(added(claim()), &pod));
    assert!(!may_help(added(resource_claim("other")), &pod));
    assert!(may_help(changed(claim(), claim().allocated("gpu.example.com/n1/gpu-0")), &pod));
    let labelled = claim().with(|claim| claim.metadata.labels = Some([("a".to_owned(), "b".to_owned())].into()));
    assert!(!may_help(changed(claim(), labelled), &pod), "the status is as it was");
}

#[test]
fn new_devices_classes_and_nodes_are_worth_another_attempt() {
    let pod = pod("p").devices("c").info();
    let slice = Arc::new(resource_slice(DRIVER, "n1").build());
    assert!(may_help(ClusterEvent::ObjectChanged(Change::Added(slice.clone()).into()), &pod));
    assert!(!may_help(ClusterEvent::ObjectChanged(Change::Deleted(slice).into()), &pod));
    let class = Arc::new(device_class("gpu").build());
    assert!(may_help(ClusterEvent::ObjectChanged(Change::Added(class.clone()).into()), &pod));
    assert!(!may_help(ClusterEvent::ObjectChanged(Change::Deleted(class).into()), &pod));
    let node = |zone: &str| Arc::new(test_node("n1").zone(zone).info());
    assert!(may_help(ClusterEvent::NodeAdded(node("a")), &pod));
    assert!(may_help(ClusterEvent::NodeUpdated { old: node("a"), new: node("b") }, &pod));
    assert!(!may_help(ClusterEvent::NodeUpdated { old: node("a"), new: node("a") }, &pod));
    assert!(!DynamicResources::default().concerns(EventKind::PodAssigned));
    assert!(!DynamicResources::default().concerns(EventKind::change_of::<k8s_openapi::api::core::v1::Namespace>()));
}

#[test]
fn what_was_read_before_is_read_anew_when_it_changes() {
    let scheduler = scheduler();
    let mut cluster = gpus(1).object(claim().build());
    cluster.decide(&scheduler, pod("p").devices("c")).assert_bound("n1");
    cluster.add_object(resource_claim("other").allocated("gpu.example.com/n1/gpu-0").build());
    cluster.decide(&scheduler, pod("p").devices("c")).assert_unschedulable("2 cannot allocate all claims");
    cluster.add_object(resource_slice(DRIVER, "n2").devices("gpu", 1).build());
    cluster.decide(&scheduler, pod("p").devices("c")).assert_bound("n2");
}
