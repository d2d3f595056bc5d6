//! Which events are new, which are repeats, and which are too many. Figures and rules are client-go's
//! (`tools/record/events_cache.go`).

use std::{
    collections::{HashMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
};

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Event, EventSeries, EventSource, ObjectReference},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time},
};
use serde_json::{Value, json};

use super::{Occurrence, Source};

/// Distinct messages of one kind of event before they are combined.
const MAX_SIMILAR: usize = 10;
/// How the message of a combined event begins.
const COMBINED: &str = "(combined from similar events): ";
/// How long similar messages count as one burst.
const SIMILAR_SECONDS: i64 = 600;
/// Events of one source about one object: at once, and seconds for one more.
const BURST: f64 = 25.0;
const REFILL_SECONDS: f64 = 300.0;
/// How many bits of the number in an event's name tell sources apart: names are 66 us apart.
const SOURCE_BITS: u32 = 16;
/// How many objects, and how many events, are remembered.
const REMEMBERED: usize = 4096;

/// What to do about an occurrence.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Write a new event.
    Create(Box<Event>),
    /// Change the event written before; if it is gone, write it anew.
    Repeat { name: String, patch: Value, anew: Box<Event> },
    /// Too many: say nothing.
    Drop,
}

/// Stands for a value of which only equality matters: a hash so wide that two values never share one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Fingerprint(u64, u64);

impl Fingerprint {
    fn of(value: &impl Hash) -> Self {
        let half = |seed: u8| {
            let mut hasher = DefaultHasher::new();
            (seed, value).hash(&mut hasher);
            hasher.finish()
        };
        Self(half(0), half(1))
    }
}

/// A map that forgets its oldest entries.
struct Bounded<V> {
    entries: HashMap<Fingerprint, V>,
    order: VecDeque<Fingerprint>,
}

impl<V> Bounded<V> {
    fn new() -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new() }
    }

    fn entry(&mut self, key: Fingerprint, default: impl FnOnce() -> V) -> &mut V {
        if !self.entries.contains_key(&key) {
            if self.order.len() >= REMEMBERED
                && let Some(oldest) = self.order.pop_front()
            {
                self.entries.remove(&oldest);
            }
            self.order.push_back(key);
        }
        self.entries.entry(key).or_insert_with(default)
    }
}

struct Bucket {
    tokens: f64,
    refilled: Timestamp,
}

struct Similar {
    messages: Vec<Fingerprint>,
    last: Timestamp,
}

struct Written {
    /// The number in the event's name.
    number: i128,
    count: i32,
    first: Timestamp,
}

pub(super) struct Correlator {
    source: Source,
    buckets: Bounded<Bucket>,
    similar: Bounded<Similar>,
    written: Bounded<Option<Written>>,
    /// The time in the name of the last event, in units of `1 << SOURCE_BITS` nanoseconds.
    last_tick: i128,
}

impl Correlator {
    pub(super) fn new(source: Source) -> Self {
        Self { source, buckets: Bounded::new(), similar: Bounded::new(), written: Bounded::new(), last_tick: 0 }
    }

    pub(super) fn correlate(&mut self, mut occurrence: Occurrence) -> Outcome {
        if !self.take_token(&occurrence) {
            return Outcome::Drop;
        }
        let key = match &self.source {
            Source::Core { .. } => self.combine(&mut occurrence),
            // In this form repeats need not have equal notes.
            Source::Reporting { .. } => {
                let version = &occurrence.involved.resource_version;
                let related = occurrence.related.as_ref().map(|related| (&related.uid, &related.name));
                Fingerprint::of(&(version, similarity(&occurrence), related))
            }
        };
        let (number, time) = (self.number(occurrence.time), occurrence.time);
        let written = self.written.entry(key, || None);
        match written {
            Some(written) => {
                written.count += 1;
                let name = name(&occurrence, written.number);
                let event = event(&self.source, occurrence, name.clone(), written.first, written.count);
                Outcome::Repeat { name, patch: repeat_patch(&event), anew: Box::new(event) }
            }
            None => {
                *written = Some(Written { number, count: 1, first: time });
                let name = name(&occurrence, number);
                Outcome::Create(Box::new(event(&self.source, occurrence, name, time, 1)))
            }
        }
    }

    fn take_token(&mut self, occurrence: &Occurrence) -> bool {
        let now = occurrence.time;
        let bucket =
            self.buckets.entry(Fingerprint::of(&object(occurrence)), || Bucket { tokens: BURST, refilled: now });
        let elapsed = now.duration_since(bucket.refilled).as_secs_f64().max(0.0);
        bucket.tokens = (bucket.tokens + elapsed / REFILL_SECONDS).min(BURST);
        bucket.refilled = now;
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }

    /// The key under which the occurrence is counted, whatever the object's version: one for each message, and from the tenth
    /// similar message on one for all, whose event shows the newest.
    fn combine(&mut self, occurrence: &mut Occurrence) -> Fingerprint {
        let message = Fingerprint::of(&occurrence.message);
        let key = Fingerprint::of(&similarity(occurrence));
        let now = occurrence.time;
        let similar = self.similar.entry(key, || Similar { messages: Vec::new(), last: now });
        if now.duration_since(similar.last).as_secs() > SIMILAR_SECONDS {
            similar.messages.clear();
        }
        similar.last = now;
        if !similar.messages.contains(&message) {
            similar.messages.push(message);
        }
        if similar.messages.len() < MAX_SIMILAR {
            return Fingerprint::of(&(key, message));
        }
        similar.messages.remove(0);
        occurrence.message.insert_str(0, COMBINED);
        key
    }

    /// A number that grows with time and is never given twice. Its last bits are the source's: what two components tell of an
    /// object at the same instant would else have one name, and the second be lost.
    fn number(&mut self, time: Timestamp) -> i128 {
        self.last_tick = (time.as_nanosecond() >> SOURCE_BITS).max(self.last_tick + 1);
        let source = Fingerprint::of(&self.source).0 & ((1 << SOURCE_BITS) - 1);
        (self.last_tick << SOURCE_BITS) | i128::from(source)
    }
}

/// The object's name and a number, as Kubernetes names events.
fn name(occurrence: &Occurrence, number: i128) -> String {
    format!("{}.{number:x}", occurrence.involved.name.as_deref().unwrap_or_default())
}

/// What tells objects apart; the version and the field do not matter for who floods what.
fn object(occurrence: &Occurrence) -> impl Hash + '_ {
    let ObjectReference { kind, namespace, name, uid, .. } = &occurrence.involved;
    (kind, namespace, name, uid)
}

/// What similar events have in common.
fn similarity(occurrence: &Occurrence) -> impl Hash + '_ {
    let Occurrence { involved, kind, reason, action, .. } = occurrence;
    (object(occurrence), &involved.field_path, kind, reason, action)
}

fn event(source: &Source, what: Occurrence, name: String, first: Timestamp, count: i32) -> Event {
    let namespace = what.involved.namespace.clone().unwrap_or_else(|| "default".to_owned());
    // As client-go, which builds a combined event anew and leaves this field out.
    let combined = what.message.starts_with(COMBINED);
    let base = Event {
        metadata: ObjectMeta { name: Some(name), namespace: Some(namespace), ..ObjectMeta::default() },
        involved_object: what.involved,
        related: what.related,
        type_: Some(what.kind.as_str().to_owned()),
        reason: Some(what.reason),
        message: Some(what.message),
        ..Event::default()
    };
    match source {
        Source::Core { component, host } => Event {
            source: Some(EventSource {
                component: Some(component.clone()),
                host: (!host.is_empty()).then(|| host.clone()),
            }),
            reporting_component: Some(if combined { String::new() } else { component.clone() }),
            reporting_instance: Some(host.clone()),
            first_timestamp: Some(Time(first)),
            last_timestamp: Some(Time(what.time)),
            count: Some(count),
            ..base
        },
        Source::Reporting { controller, instance } => Event {
            reporting_component: Some(controller.clone()),
            reporting_instance: Some(instance.clone()),
            event_time: Some(MicroTime(first)),
            action: Some(what.action),
            series: (count > 1)
                .then_some(EventSeries { count: Some(count), last_observed_time: Some(MicroTime(what.time)) }),
            ..base
        },
    }
}

fn repeat_patch(event: &Event) -> Value {
    match &event.series {
        Some(series) => json!({"series": series}),
        None => json!({"count": event.count, "lastTimestamp": event.last_timestamp, "message": event.message}),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{super::EventType, *};

    fn at(second: i64, message: &str) -> Occurrence {
        Occurrence {
            involved: ObjectReference {
                kind: Some("Pod".into()),
                namespace: Some("default".into()),
                name: Some("a".into()),
                resource_version: Some(second.to_string()),
                ..ObjectReference::default()
            },
            related: None,
            kind: EventType::Warning,
            reason: "BackOff".into(),
            action: String::new(),
            message: message.into(),
            time: Timestamp::from_second(second).unwrap(),
        }
    }

    fn core() -> Correlator {
        Correlator::new(Source::Core { component: "kubelet".into(), host: "n1".into() })
    }

    #[test]
    fn a_repeat_raises_the_count_of_the_first_event() {
        let mut correlator = core();
        let Outcome::Create(first) = correlator.correlate(at(100, "m")) else { panic!("the first is new") };
        let Outcome::Repeat { name, patch, .. } = correlator.correlate(at(160, "m")) else { panic!("a repeat") };
        assert_eq!(Some(name), first.metadata.name);
        assert_eq!(patch["count"], 2);
        assert_eq!(patch["lastTimestamp"], "1970-01-01T00:02:40Z");
    }

    #[test]
    fn events_of_one_instant_have_names_of_their_own() {
        let mut correlator = core();
        let names: BTreeSet<_> = (0..3)
            .filter_map(|i| match correlator.correlate(at(5, &format!("m{i}"))) {
                Outcome::Create(event) => event.metadata.name,
                _ => None,
            })
            .collect();
        assert_eq!(names.len(), 3);
    }

    #[test]
    fn events_of_one_instant_and_different_sources_have_different_names() {
        let sources = [
            Source::Core { component: "kubelet".into(), host: "n1".into() },
            Source::Core { component: "kubelet".into(), host: "n2".into() },
            Source::Core { component: "replicaset-controller".into(), host: String::new() },
            Source::Reporting { controller: "default-scheduler".into(), instance: "x".into() },
        ];
        let time = at(1_800_000_000, "m").time;
        let numbers: BTreeSet<_> = sources.into_iter().map(|source| Correlator::new(source).number(time)).collect();
        assert_eq!(numbers.len(), 4);
        assert!(numbers.iter().all(|number| format!("{number:x}").len() == 16), "{numbers:?}");
    }

    #[test]
    fn from_the_tenth_similar_message_on_they_are_combined() {
        let mut correlator = core();
        for i in 0..9 {
            assert!(matches!(correlator.correlate(at(i, &format!("m{i}"))), Outcome::Create(_)));
        }
        let Outcome::Create(event) = correlator.correlate(at(10, "m9")) else { panic!("the combined one is new") };
        assert_eq!(event.message.as_deref(), Some("(combined from similar events): m9"));
        let Outcome::Repeat { name, patch, .. } = correlator.correlate(at(11, "m10")) else { panic!("a repeat") };
        assert_eq!(Some(name), event.metadata.name);
        assert_eq!((&patch["count"], &patch["message"]), (&json!(2), &json!("(combined from similar events): m10")));
    }

    #[test]
    fn a_flood_about_one_object_is_cut_off_and_let_in_again_slowly() {
        let mut correlator = core();
        let written = (0..100).filter(|_| !matches!(correlator.correlate(at(1000, "m")), Outcome::Drop)).count();
        assert_eq!(written, 25);
        assert!(matches!(correlator.correlate(at(1000 + 299, "m")), Outcome::Drop));
        assert!(matches!(correlator.correlate(at(1000 + 601, "m")), Outcome::Repeat { .. }));
    }

    #[test]
    fn in_the_reporting_form_repeats_make_a_series() {
        let mut correlator =
            Correlator::new(Source::Reporting { controller: "default-scheduler".into(), instance: "x".into() });
        let mut same = at(1, "m");
        same.action = "Scheduling".into();
        let Outcome::Create(first) = correlator.correlate(same.clone()) else { panic!("the first is new") };
        assert!(first.count.is_none() && first.series.is_none() && first.event_time.is_some());
        let Outcome::Repeat { patch, .. } = correlator.correlate(same) else { panic!("a repeat") };
        assert_eq!(patch["series"]["count"], 2);
    }

    #[test]
    fn what_is_done_for_others_is_another_event_and_names_them() {
        let mut correlator =
            Correlator::new(Source::Reporting { controller: "default-scheduler".into(), instance: "x".into() });
        let mut preempted = at(1, "m");
        for name in ["p", "q"] {
            preempted.related = Some(ObjectReference { name: Some(name.into()), ..ObjectReference::default() });
            let Outcome::Create(event) = correlator.correlate(preempted.clone()) else { panic!("it is new") };
            assert_eq!(event.related.and_then(|related| related.name).as_deref(), Some(name));
        }
    }
}
