use std::{
    any::{Any, TypeId},
    collections::HashMap,
    fmt,
    sync::Arc,
};

use kube::Client;
use parking_lot::Mutex;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Informed, Informer,
    reflect::{Transform, reflect},
};

/// The informers of a process, one a type; clones share them.
#[derive(Clone)]
pub struct InformerFactory {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    informers: Mutex<HashMap<TypeId, Box<dyn Any + Send + Sync>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl InformerFactory {
    /// Informers of what `client` can read.
    pub fn new(client: Client) -> Self {
        let shared = Shared {
            client,
            informers: Mutex::new(HashMap::new()),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The informer of `K` in all namespaces. The first call starts it, on the current tokio runtime. `managedFields` are
    /// dropped from what it keeps, as no controller reads them and they are a good part of an object.
    pub fn informer<K: Informed>(&self) -> Informer<K> {
        let mut informers = self.shared.informers.lock();
        if let Some(informer) = informers.get(&TypeId::of::<K>()).and_then(|any| any.downcast_ref::<Informer<K>>()) {
            return informer.clone();
        }
        let informer = Informer::<K>::new();
        let transform: Transform<K> = Arc::new(|object| object.meta_mut().managed_fields = None);
        let reflecting = reflect(self.shared.client.clone(), informer.clone(), transform);
        let stop = self.shared.stop.clone();
        self.shared.tasks.spawn(async move { stop.run_until_cancelled(reflecting).await });
        informers.insert(TypeId::of::<K>(), Box::new(informer.clone()));
        informer
    }

    /// Stops all informers and waits until they have ended.
    pub async fn shut_down(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

impl fmt::Debug for InformerFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InformerFactory").field("informers", &self.shared.informers.lock().len()).finish()
    }
}
