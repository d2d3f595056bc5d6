use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use orchestra_core::scheduler::{ClusterEvent, EventKind, Placement, ScheduleError, Scheduler, Snapshot};
use proptest::prelude::*;
use serde_json::json;

use super::{super::*, *};

const SECOND: Duration = Duration::from_secs(1);

/// Groups pods by the label `g`; how many have to have nodes at once stands in the config map of that name.
struct Gangs;

impl Scheduler for Gangs {
    fn schedule(&self, _: &PodInfo, _: &Snapshot, _: u64) -> Result<Placement, ScheduleError> {
        Err(ScheduleError::Internal("never asked".to_owned()))
    }

    fn group(&self, pod: &PodInfo) -> Option<ObjectKey> {
        let name = pod.pod().metadata.labels.as_ref()?.get("g")?;
        Some(ObjectKey::namespaced("default", name))
    }

    fn quorum(&self, group: &ObjectKey, pods: usize, objects: &Objects) -> Result<Quorum, Rejection> {
        let map = objects.get::<ConfigMap>(group).ok_or_else(|| Rejection::new("no map").by("Map"))?;
        let minimum = map.data.as_ref().and_then(|data| data["minimum"].parse().ok()).unwrap_or(0);
        if pods < minimum {
            return Err(Rejection::new("too few").by("Map"));
        }
        Ok(Quorum::of(minimum, Rejection::new("unmet").by("Map")))
    }

    fn concerns(&self, plugin: &str, kind: EventKind) -> bool {
        match plugin {
            "Room" => kind == EventKind::PodReleased,
            "Map" => kind == EventKind::change_of::<ConfigMap>(),
            _ => true,
        }
    }
}

fn queue() -> SchedulingQueue {
    let gangs: Arc<dyn Scheduler> = Arc::new(Gangs);
    SchedulingQueue::new(Arc::new(BTreeMap::from([("default-scheduler".to_owned(), gangs)])), QueueDelays::default())
}

fn map(group: &str, minimum: usize) -> Arc<ConfigMap> {
    let map = json!({
        "metadata": { "name": group, "namespace": "default" }, "data": { "minimum": minimum.to_string() },
    });
    Arc::new(serde_json::from_value(map).unwrap())
}

fn needs(groups: &[(&str, usize)]) -> Objects {
    let mut objects = Objects::default();
    for (group, minimum) in groups {
        objects.set(map(group, *minimum));
    }
    objects
}

fn pod_with(name: &str, group: &str, spec: serde_json::Value) -> Arc<PodInfo> {
    let labels = if group.is_empty() { json!({}) } else { json!({ "g": group }) };
    let pod = json!({ "metadata": { "name": name, "uid": name, "labels": labels }, "spec": spec });
    Arc::new(serde_json::from_value::<Pod>(pod).unwrap().into())
}

fn pod(name: &str, group: &str) -> Arc<PodInfo> {
    pod_with(name, group, json!({ "containers": [] }))
}

fn gated(name: &str, group: &str) -> Arc<PodInfo> {
    pod_with(name, group, json!({ "containers": [], "schedulingGates": [{ "name": "example.com/gate" }] }))
}

fn added(queue: &mut SchedulingQueue, names: &[&str], group: &str, now: Instant) {
    names.iter().for_each(|name| queue.set(pod(name, group), now));
}

fn names(next: Option<Next>) -> Vec<String> {
    next.iter().flat_map(Next::pods).map(|pod| pod.id().to_string()).collect()
}

fn missing(next: &Option<Next>) -> Option<usize> {
    match next {
        Some(Next::Gang(gang)) => Some(gang.missing),
        _ => None,
    }
}

#[test]
fn a_gang_is_popped_as_one_and_in_order() {
    let (mut queue, now, objects) = (queue(), Instant::now(), needs(&[("g", 3)]));
    queue.set(pod("alone", ""), now);
    added(&mut queue, &["b", "a"], "g", now);
    queue.set(pod_with("c", "g", json!({ "containers": [], "priority": 5 })), now);
    let next = queue.pop(now, &objects);
    assert_eq!(missing(&next), Some(3));
    assert_eq!(names(next), ["c", "b", "a"], "the first takes the others with it");
    assert_eq!(names(queue.pop(now, &objects)), ["alone"]);
    assert_eq!(queue.lengths(), QueueLengths { in_flight: 4, ..QueueLengths::default() });
}

#[test]
fn pods_wait_until_there_are_as_many_as_are_needed() {
    let (mut queue, now, objects) = (queue(), Instant::now(), needs(&[("g", 3)]));
    added(&mut queue, &["a", "b"], "g", now);
    assert_eq!(names(queue.pop(now, &objects)), Vec::<String>::new());
    assert_eq!(queue.lengths(), QueueLengths { gated: 2, ..QueueLengths::default() });
    added(&mut queue, &["other"], "h", now);
    added(&mut queue, &["c"], "g", now);
    assert_eq!(names(queue.pop(now, &objects)).len(), 3, "and the one that comes brings the others along");
}

#[test]
fn pods_wait_for_what_says_how_many_they_are() {
    let (mut queue, now) = (queue(), Instant::now());
    added(&mut queue, &["a", "b"], "g", now);
    assert!(queue.pop(now, &Objects::default()).is_none());
    let change = orchestra_core::informer::Change::Added(map("g", 2));
    queue.notify(ClusterEvent::ObjectChanged(change.into()), now);
    assert_eq!(names(queue.pop(now, &needs(&[("g", 2)]))), ["a", "b"]);
}

#[test]
fn those_that_have_a_node_count_and_later_ones_come_one_by_one() {
    let (mut queue, now, objects) = (queue(), Instant::now(), needs(&[("g", 3)]));
    added(&mut queue, &["a", "b", "c"], "g", now);
    queue.assigned(&pod("a", "g"), now);
    let next = queue.pop(now, &objects);
    assert_eq!((missing(&next), names(next)), (Some(2), vec!["b".to_owned(), "c".to_owned()]));
    queue.done("b");
    queue.done("c");
    added(&mut queue, &["d", "e"], "g", now);
    let next = queue.pop(now, &objects);
    assert!(matches!(&next, Some(Next::Pod { group: Some(group), .. }) if group.name() == "g"));
    assert_eq!(names(next), ["d"]);
    queue.remove("a");
    queue.remove("b");
    queue.remove("c");
    queue.failed("d", now);
    let next = queue.pop(now + SECOND, &objects);
    assert!(next.is_none(), "two are left of a gang of three: {next:?}");
}

#[test]
fn a_pod_that_has_a_node_from_the_start_may_be_the_one_that_was_missing() {
    let (mut queue, now, objects) = (queue(), Instant::now(), needs(&[("g", 3)]));
    added(&mut queue, &["a", "b"], "g", now);
    assert!(queue.pop(now, &objects).is_none());
    queue.assigned(&pod("c", "g"), now);
    assert_eq!(names(queue.pop(now, &objects)), ["a", "b"]);
}

#[test]
fn the_last_one_that_is_missing_needs_no_others() {
    let (mut queue, now, objects) = (queue(), Instant::now(), needs(&[("g", 2)]));
    added(&mut queue, &["a", "b", "c"], "g", now);
    queue.assigned(&pod("a", "g"), now);
    assert_eq!(names(queue.pop(now, &objects)), ["b"]);
}

#[test]
fn a_gang_that_was_rejected_comes_back_as_one_when_any_of_it_is_helped() {
    let (mut queue, now, objects) = (queue(), Instant::now(), needs(&[("g", 3)]));
    added(&mut queue, &["a", "b", "c"], "g", now);
    queue.pop(now, &objects);
    queue.unschedulable("a", vec!["Map".to_owned()], now);
    queue.unschedulable("b", vec!["Room".to_owned()], now);
    queue.failed("c", now);
    assert_eq!(queue.lengths(), QueueLengths { unschedulable: 2, backing_off: 1, ..QueueLengths::default() });
    let later = now + SECOND / 2;
    queue.notify(ClusterEvent::PodReleased(pod("x", "")), later);
    assert!(queue.pop(later, &objects).is_none(), "all of them rest after an attempt");
    let mut tried = names(queue.pop(now + SECOND, &objects));
    tried.sort();
    assert_eq!(tried, ["a", "b", "c"]);
}

#[test]
fn a_pod_with_scheduling_gates_is_there_but_is_not_tried() {
    let (mut queue, now, objects) = (queue(), Instant::now(), needs(&[("g", 2)]));
    added(&mut queue, &["a"], "g", now);
    queue.set(gated("b", "g"), now);
    assert!(queue.pop(now, &objects).is_none());
    added(&mut queue, &["c"], "g", now);
    assert_eq!(names(queue.pop(now, &objects)), ["a", "c"]);
    queue.failed("a", now);
    queue.failed("c", now);
    queue.set(pod("b", "g"), now);
    assert_eq!(names(queue.pop(now, &objects)).len(), 3, "without its gates it is tried with the others");
}

#[test]
fn a_gang_waits_for_those_of_it_that_others_are_taken_away_for() {
    let (mut queue, now, objects) = (queue(), Instant::now(), needs(&[("g", 2)]));
    added(&mut queue, &["a", "b"], "g", now);
    queue.pop(now, &objects);
    queue.hold("a");
    queue.unschedulable("a", vec!["Room".to_owned()], now);
    queue.unschedulable("b", vec!["Room".to_owned()], now);
    let later = now + 5 * SECOND;
    queue.notify(ClusterEvent::PodReleased(pod("x", "")), later);
    assert!(queue.pop(later, &objects).is_none());
    queue.let_go("a", false, later);
    assert_eq!(names(queue.pop(later, &objects)).len(), 2);
}

#[test]
fn a_scheduler_that_panics_about_groups_loses_no_pod() {
    struct Panics;
    impl Scheduler for Panics {
        fn schedule(&self, _: &PodInfo, _: &Snapshot, _: u64) -> Result<Placement, ScheduleError> {
            panic!("told to")
        }
        fn group(&self, pod: &PodInfo) -> Option<ObjectKey> {
            assert_ne!(pod.key().name(), "a", "told to");
            Some(ObjectKey::cluster("g"))
        }
        fn quorum(&self, _: &ObjectKey, _: usize, _: &Objects) -> Result<Quorum, Rejection> {
            panic!("told to")
        }
    }
    let panics: Arc<dyn Scheduler> = Arc::new(Panics);
    let schedulers = Arc::new(BTreeMap::from([("default-scheduler".to_owned(), panics)]));
    let (mut queue, now) = (SchedulingQueue::new(schedulers, QueueDelays::default()), Instant::now());
    added(&mut queue, &["a", "b"], "", now);
    assert_eq!(names(queue.pop(now, &Objects::default())), ["a"]);
    assert!(queue.pop(now, &Objects::default()).is_none());
    assert_eq!(queue.lengths(), QueueLengths { gated: 1, in_flight: 1, ..QueueLengths::default() });
}

proptest! {
    #[test]
    fn each_pod_of_a_group_is_in_exactly_one_place(steps in prop::collection::vec((0..13_usize, 0..7_usize), 0..150)) {
        let pods = [("a", "g"), ("b", "g"), ("c", "g"), ("d", "h"), ("e", "h"), ("f", "absent"), ("z", "")];
        let objects = needs(&[("g", 2), ("h", 2)]);
        let (mut queue, mut now) = (queue(), Instant::now());
        let (mut known, mut assigned) = (BTreeSet::new(), BTreeSet::new());
        for (action, which) in steps {
            let (name, group) = pods[which];
            match action {
                0..=2 => {
                    if assigned.contains(name) { continue; }
                    queue.set(pod(name, group), now);
                    known.insert(name);
                }
                3 => { queue.remove(name); known.remove(name); assigned.remove(name); }
                4 | 5 => { queue.pop(now, &objects); }
                6 => {
                    if queue.is_in_flight(name) { known.remove(name); assigned.insert(name); }
                    queue.done(name);
                }
                7 => queue.unschedulable(name, vec![["Room", "Map"][which % 2].to_owned()], now),
                8 => queue.failed(name, now),
                9 => {
                    if assigned.contains(name) { continue; }
                    queue.set(gated(name, group), now);
                    known.insert(name);
                }
                10 => { queue.assigned(&pod(name, group), now); known.remove(name); assigned.insert(name); }
                11 => if which % 2 == 0 { queue.hold(name) } else { queue.let_go(name, false, now) },
                _ => queue.notify(ClusterEvent::PodReleased(pod("x", "")), now),
            }
            now += Duration::from_millis(700);
            let lengths = queue.lengths();
            let waiting = lengths.active + lengths.backing_off + lengths.unschedulable + lengths.gated;
            prop_assert_eq!(waiting + lengths.in_flight, known.len());
            prop_assert_eq!(waiting, queue.waiting.len());
            for group in ["g", "h", "absent"] {
                let of = |all: &BTreeSet<&str>| pods.iter().filter(|(name, of)| *of == group && all.contains(name)).count();
                let key = ("default-scheduler".to_owned(), ObjectKey::namespaced("default", group));
                let found = queue.groups.get(&key);
                prop_assert_eq!(found.map_or(0, |group| group.pods.len()), of(&known) + of(&assigned));
                let waiting = found.map_or(0, |group| group.waiting.len());
                let flying = pods.iter().filter(|(name, of)| *of == group && queue.is_in_flight(name)).count();
                prop_assert_eq!(waiting, of(&known) - flying);
            }
        }
        let indexed: usize = queue.rejected.values().map(|rejected| rejected.iter().count()).sum();
        prop_assert_eq!(indexed, queue.lengths().unschedulable + queue.lengths().gated);
    }
}
