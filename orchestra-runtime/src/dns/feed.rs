//! Keeps the index in step with the API server.

use std::sync::{Arc, atomic::Ordering};

use k8s_openapi::api::{
    core::v1::{Namespace, Service},
    discovery::v1::EndpointSlice,
};
use orchestra_core::{
    clock::Clock,
    informer::{Informed, InformerFactory, Subscription},
};

use super::{index::Index, resolver::Resolver};

/// Feeds the resolver's index from `informers` until the future is dropped.
pub(super) async fn feed(resolver: Arc<Resolver>, informers: InformerFactory, clock: Arc<dyn Clock>) {
    let feeder = Feeder { resolver, informers, clock };
    let _subscriptions = [
        feeder.subscribe::<Namespace>(Index::namespace),
        feeder.subscribe::<Service>(Index::set_service),
        feeder.subscribe::<EndpointSlice>(Index::set_slice),
    ];
    feeder.informers.informer::<Namespace>().synced().await;
    feeder.informers.informer::<Service>().synced().await;
    feeder.informers.informer::<EndpointSlice>().synced().await;
    feeder.resolver.synced.store(true, Ordering::Release);
    std::future::pending().await
}

struct Feeder {
    resolver: Arc<Resolver>,
    informers: InformerFactory,
    clock: Arc<dyn Clock>,
}

impl Feeder {
    fn subscribe<K: Informed>(&self, set: fn(&mut Index, Option<&K>, Option<&K>)) -> Subscription {
        let (resolver, clock) = (Arc::clone(&self.resolver), Arc::clone(&self.clock));
        self.informers.informer::<K>().subscribe(move |change| {
            let mut index = resolver.index.write();
            set(&mut index, change.old().map(AsRef::as_ref), change.new().map(AsRef::as_ref));
            index.changed(clock.now().as_second());
        })
    }
}
