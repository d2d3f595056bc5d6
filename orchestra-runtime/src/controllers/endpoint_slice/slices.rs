//! The slices that one controller keeps.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::discovery::v1::EndpointSlice;
use orchestra_core::{
    ObjectKey,
    controller::{ControllerContext, Watch},
    informer::{Change, Informer},
};

use super::{
    MANAGED_BY, SERVICE_NAME,
    tracker::Tracker,
    write::{Plan, Writer},
};

/// How long until the informer is looked at again that does not show yet what was written.
pub(in crate::controllers) const CATCH_UP: Duration = Duration::from_millis(10);

/// The slices of one manager, by their Service.
pub(in crate::controllers) struct Slices {
    informer: Informer<EndpointSlice>,
    /// Names the index too.
    manager: &'static str,
    tracker: Arc<Tracker>,
    writer: Writer,
}

impl Slices {
    pub(in crate::controllers) fn new(context: &ControllerContext, manager: &'static str) -> Self {
        let informer = context.informers.informer::<EndpointSlice>();
        let index = move |slice: &EndpointSlice| service_of(slice, manager).map(|key| key.to_string());
        informer.add_index(manager, move |slice| index(slice).into_iter().collect());
        let tracker = Arc::<Tracker>::default();
        let writer = Writer::new(context.client.clone(), Arc::clone(&tracker));
        Self { informer, manager, tracker, writer }
    }

    /// Wakes the services of slices that somebody else changed.
    pub(in crate::controllers) fn watch(&self) -> Watch {
        let (tracker, manager) = (Arc::clone(&self.tracker), self.manager);
        Watch::mapped(&self.informer, move |change| foreign(&tracker, change, manager))
    }

    /// Those of a Service that are to stay; `None` while the informer does not show yet what was written.
    pub(in crate::controllers) fn of(&self, service: &ObjectKey) -> Option<Vec<Arc<EndpointSlice>>> {
        let mut slices = self.informer.by_index(self.manager, &service.to_string());
        slices.retain(|slice| slice.metadata.deletion_timestamp.is_none());
        (!self.tracker.is_behind(service, &slices)).then_some(slices)
    }

    pub(in crate::controllers) async fn carry_out(&self, service: &ObjectKey, plan: Plan) -> Result<(), kube::Error> {
        self.writer.carry_out(service, plan).await
    }

    /// The Service is gone.
    pub(in crate::controllers) fn forget(&self, service: &ObjectKey) {
        self.tracker.forget(service);
    }
}

/// The Service of a slice of that manager.
fn service_of(slice: &EndpointSlice, manager: &str) -> Option<ObjectKey> {
    let labels = slice.metadata.labels.as_ref()?;
    labels.get(MANAGED_BY).filter(|found| *found == manager)?;
    Some(ObjectKey::new(slice.metadata.namespace.as_deref(), labels.get(SERVICE_NAME)?))
}

/// The services of a slice that somebody else changed, before the change and after it.
fn foreign(tracker: &Tracker, change: &Change<EndpointSlice>, manager: &str) -> Vec<ObjectKey> {
    let states = change.old().into_iter().chain(change.new());
    let mut keys: Vec<_> = states.filter_map(|slice| service_of(slice, manager)).collect();
    keys.dedup();
    keys.retain(|key| tracker.is_foreign(key, change));
    keys
}
