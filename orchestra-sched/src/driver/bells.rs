//! Who looks again when something changes that the binding of a pod waits for.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use orchestra_core::scheduler::Cause;
use tokio::sync::Notify;

/// The bells of those who wait, at what they wait for: a change rings no others, however many wait.
#[derive(Debug, Default)]
pub(super) struct Bells {
    /// In the order in which they were made, so that one seed gives one course of events.
    hung: BTreeMap<Cause, BTreeMap<u64, Arc<Notify>>>,
    next_id: u64,
}

/// Rings when one of the causes at which it hangs changes. It is to be [taken down](Bells::take_down).
#[derive(Debug)]
pub(super) struct Bell {
    id: u64,
    rung: Arc<Notify>,
    causes: BTreeSet<Cause>,
}

impl Bell {
    /// Waits for a ring; one that came since the last wait counts.
    pub(super) async fn rung(&self) {
        self.rung.notified().await;
    }
}

impl Bells {
    /// A bell that hangs nowhere yet.
    pub(super) fn make(&mut self) -> Bell {
        self.next_id += 1;
        Bell { id: self.next_id, rung: Arc::default(), causes: BTreeSet::new() }
    }

    /// `false` if it hangs there already.
    pub(super) fn hang(&mut self, bell: &mut Bell, cause: Cause) -> bool {
        let is_new = bell.causes.insert(cause.clone());
        if is_new {
            self.hung.entry(cause).or_default().insert(bell.id, Arc::clone(&bell.rung));
        }
        is_new
    }

    pub(super) fn take_down(&mut self, bell: &Bell) {
        for cause in &bell.causes {
            if let Some(bells) = self.hung.get_mut(cause) {
                bells.remove(&bell.id);
                if bells.is_empty() {
                    self.hung.remove(cause);
                }
            }
        }
    }

    /// The cause is asked for only if there are bells at all.
    pub(super) fn ring(&self, cause: impl FnOnce() -> Cause) {
        if self.hung.is_empty() {
            return;
        }
        self.hung.get(&cause()).into_iter().flat_map(BTreeMap::values).for_each(|bell| bell.notify_one());
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
    use orchestra_core::ObjectKey;

    use super::*;

    fn claim(name: &str) -> Cause {
        Cause::object::<PersistentVolumeClaim>(ObjectKey::namespaced("default", name))
    }

    #[test]
    fn a_change_rings_the_bells_that_hang_at_it_and_no_others() {
        let mut bells = Bells::default();
        let (mut first, mut second, mut other) = (bells.make(), bells.make(), bells.make());
        for (bell, name) in [(&mut first, "c"), (&mut second, "c"), (&mut other, "d")] {
            bells.hang(bell, claim(name));
        }
        bells.hang(&mut second, Cause::object::<PersistentVolume>(ObjectKey::cluster("v")));
        let rung = || [&first, &second, &other].map(|bell| bell.rung().now_or_never().is_some());
        bells.ring(|| claim("c"));
        assert_eq!(rung(), [true, true, false]);
        bells.ring(|| Cause::object::<PersistentVolume>(ObjectKey::cluster("v")));
        assert_eq!(rung(), [false, true, false]);
        bells.ring(|| Cause::Node("c".into()));
        assert_eq!(rung(), [false; 3]);
    }

    #[test]
    fn nothing_is_left_of_bells_that_were_taken_down() {
        let mut bells = Bells::default();
        let mut bell = bells.make();
        bells.hang(&mut bell, claim("c"));
        bells.hang(&mut bell, Cause::Node("n".into()));
        bells.take_down(&bell);
        assert!(bells.hung.is_empty());
        bells.ring(|| unreachable!("nobody waits for anything"));
    }
}
