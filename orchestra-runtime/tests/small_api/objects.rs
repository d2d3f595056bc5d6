use std::{collections::BTreeMap, sync::Arc};

use orchestra_core::{clock::Clock, random::Generator};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Kind, Refusal};

/// Plural, namespace, name.
pub(super) type Key = (&'static str, String, String);

/// The objects, and all that ever happened to them.
pub(super) struct Objects {
    present: BTreeMap<Key, Value>,
    log: Vec<(u64, &'static str, Key, Value)>,
    version: watch::Sender<u64>,
    clock: Arc<dyn Clock>,
    generator: Generator,
}

impl Objects {
    pub(super) fn new(clock: Arc<dyn Clock>, generator: Generator) -> Self {
        Self { present: BTreeMap::new(), log: Vec::new(), version: watch::Sender::new(1), clock, generator }
    }

    /// Tells when there is something new.
    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// The events of a kind after a version, a line each.
    pub(super) fn events(&self, key: &Key, after: &mut u64) -> String {
        let mut lines = String::new();
        for (version, event, of, object) in &self.log[self.log.partition_point(|entry| entry.0 <= *after)..] {
            *after = *version;
            if of.0 == key.0 && (key.1.is_empty() || of.1 == key.1) {
                lines += &json!({"type": event, "object": object}).to_string();
                lines.push('\n');
            }
        }
        lines
    }

    pub(super) fn list(&self, key: &Key) -> Value {
        let is_wanted = |of: &&Key| of.0 == key.0 && (key.1.is_empty() || of.1 == key.1);
        let items: Vec<_> = self.present.keys().filter(is_wanted).map(|of| &self.present[of]).collect();
        let version = self.version.borrow().to_string();
        json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": version}, "items": items})
    }

    pub(super) fn get(&self, key: &Key) -> Result<Value, Refusal> {
        self.present.get(key).cloned().ok_or(Refusal::NOT_FOUND)
    }

    pub(super) fn create(&mut self, kind: Kind, mut key: Key, mut object: Value) -> Result<Value, Refusal> {
        let namespace = self.present.get(&("namespaces", String::new(), key.1.clone()));
        if namespace.is_some_and(|namespace| !namespace["metadata"]["deletionTimestamp"].is_null()) {
            return Err(Refusal::TERMINATING);
        }
        let meta = &mut object["metadata"];
        key.2 = match meta["name"].as_str() {
            Some(name) => name.to_owned(),
            None => format!("{}{}", meta["generateName"].as_str().unwrap_or_default(), self.generator.name_suffix(5)),
        };
        if self.present.contains_key(&key) {
            return Err(Refusal::ALREADY_EXISTS);
        }
        meta["name"] = json!(key.2);
        meta["uid"] = json!(self.generator.uid());
        meta["generation"] = json!(1);
        meta["creationTimestamp"] = json!(self.now());
        if !key.1.is_empty() {
            meta["namespace"] = json!(key.1);
        }
        object["kind"] = json!(kind.2);
        object["apiVersion"] = json!(kind.0.trim_start_matches("apis/").trim_start_matches("api/"));
        match key.0 {
            "namespaces" => object["spec"]["finalizers"] = json!(["kubernetes"]),
            "pods" => object["status"] = json!({"phase": "Pending"}),
            _ => {}
        }
        Ok(self.commit(key, object, "ADDED"))
    }

    pub(super) fn update(&mut self, key: Key, mut new: Value, subresource: Option<&str>) -> Result<Value, Refusal> {
        let old = self.get(&key)?;
        require_same(&new["metadata"], &old)?;
        let mut object = old.clone();
        match subresource {
            Some("status") => {
                object["status"] = new["status"].take();
                object["metadata"]["annotations"] = new["metadata"]["annotations"].take();
            }
            Some(_) => object["spec"]["finalizers"] = new["spec"]["finalizers"].take(),
            None => {
                for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "generation"] {
                    new["metadata"][field] = old["metadata"][field].clone();
                }
                new["status"] = old["status"].clone();
                if new["spec"] != old["spec"] {
                    raise_generation(&mut new);
                }
                object = new;
            }
        }
        if object == old { Ok(old) } else { Ok(self.commit(key, object, "MODIFIED")) }
    }

    pub(super) fn delete(&mut self, key: Key, options: &Value) -> Result<Value, Refusal> {
        let mut object = self.get(&key)?;
        require_same(&options["preconditions"], &object)?;
        let is_assigned_pod = key.0 == "pods" && object["spec"]["nodeName"].is_string();
        let grace = options["gracePeriodSeconds"].as_i64().unwrap_or(if is_assigned_pod { 30 } else { 0 });
        let meta = &mut object["metadata"];
        if !meta["deletionTimestamp"].is_null() && grace > 0 {
            return Ok(object);
        }
        let finalizer = match options["propagationPolicy"].as_str() {
            Some("Foreground") => Some("foregroundDeletion"),
            Some("Orphan") => Some("orphan"),
            _ => None,
        };
        if let Some(finalizer) = finalizer.filter(|_| meta["deletionTimestamp"].is_null()) {
            let mut finalizers = meta["finalizers"].as_array().cloned().unwrap_or_default();
            finalizers.push(json!(finalizer));
            meta["finalizers"] = json!(finalizers);
        }
        if meta["deletionTimestamp"].is_null() {
            meta["deletionTimestamp"] = json!(self.now());
        }
        meta["deletionGracePeriodSeconds"] = json!(grace);
        raise_generation(&mut object);
        Ok(self.commit(key, object, "MODIFIED"))
    }

    pub(super) fn delete_all(&mut self, key: &Key, options: &Value) -> Result<Value, Refusal> {
        let keys: Vec<_> = self.present.keys().filter(|of| (of.0, &of.1) == (key.0, &key.1)).cloned().collect();
        for key in keys {
            self.delete(key, options)?;
        }
        Ok(self.list(key))
    }

    /// Stores the object, or drops it if it is deleted and nothing holds it.
    fn commit(&mut self, key: Key, mut object: Value, event: &'static str) -> Value {
        let version = *self.version.borrow() + 1;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        let meta = &object["metadata"];
        let is_held = |finalizers: &Value| finalizers.as_array().is_some_and(|all| !all.is_empty());
        let stays = meta["deletionTimestamp"].is_null()
            || meta["deletionGracePeriodSeconds"] != 0
            || is_held(&meta["finalizers"])
            || (key.0 == "namespaces" && is_held(&object["spec"]["finalizers"]));
        if stays {
            self.present.insert(key.clone(), object.clone());
        } else {
            self.present.remove(&key);
        }
        self.log.push((version, if stays { event } else { "DELETED" }, key, object.clone()));
        self.version.send_replace(version);
        object
    }

    fn now(&self) -> String {
        self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }
}

fn raise_generation(object: &mut Value) {
    let generation = object["metadata"]["generation"].as_i64().unwrap_or(0);
    object["metadata"]["generation"] = json!(generation + 1);
}

/// What names a uid or a version means that one.
fn require_same(wanted: &Value, present: &Value) -> Result<(), Refusal> {
    let same = |field: &str| wanted[field].is_null() || wanted[field] == present["metadata"][field];
    if same("uid") && same("resourceVersion") { Ok(()) } else { Err(Refusal::CONFLICT) }
}
