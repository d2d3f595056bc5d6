use std::{
    any::{Any, TypeId},
    collections::HashMap,
    fmt,
    sync::Arc,
};

use kube::{Client, runtime::watcher};
use parking_lot::Mutex;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Informed, Informer, Reflected,
    source::{Source, Transform},
};

type OwnTransform<K> = Arc<dyn Fn(&mut K) + Send + Sync>;

/// The informers of a process, one a type (and field selector); clones share them.
#[derive(Clone)]
pub struct InformerFactory {
    shared: Arc<Shared>,
}

/// Of each type and field selector, which is empty for all objects, the one that was started last.
#[derive(Default)]
struct Started(HashMap<(TypeId, String), Box<dyn Any + Send + Sync>>);

impl Started {
    fn get<T: Clone + 'static>(&self, fields: &str) -> Option<T> {
        self.0.get(&(TypeId::of::<T>(), fields.to_owned()))?.downcast_ref().cloned()
    }

    fn add<T: Send + Sync + 'static>(&mut self, fields: &str, started: T) {
        self.0.insert((TypeId::of::<T>(), fields.to_owned()), Box::new(started));
    }
}

struct Shared {
    client: Client,
    is_compressed: bool,
    started: Mutex<Started>,
    transforms: Mutex<HashMap<TypeId, Box<dyn Any + Send + Sync>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl InformerFactory {
    /// Informers of what `client` can read.
    pub fn new(client: Client) -> Self {
        Self::with(client, false)
    }

    /// As [`new`](Self::new); what is kept [encoded](super::Packed) takes less room, and some microseconds more: of objects that are alike, as the
    /// pods of one owner are, one is kept whole, and of the others what tells them from it. For processes with many objects that they seldom look
    /// at, as a scheduler of its own has pods.
    pub fn compressed(client: Client) -> Self {
        Self::with(client, true)
    }

    fn with(client: Client, is_compressed: bool) -> Self {
        let shared = Shared {
            client,
            is_compressed,
            started: Mutex::default(),
            transforms: Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The informer of `K` in all namespaces. The first call starts it, on the current tokio runtime. `managedFields` are
    /// dropped from what it keeps, as no controller reads them and they are a good part of an object.
    ///
    /// Where `K` is no type of objects but what somebody [keeps of them](Reflected), there is one watch for all that keep something of the
    /// same objects: who comes late hears from those who keep [all of them](Reflected::tell), and watches by itself if there is
    /// nobody.
    pub fn informer<K: Reflected>(&self) -> Informer<K> {
        self.selected("")
    }

    /// As [`informer`](Self::informer), of no more objects than match a field selector: for those who care about a few of many.
    pub fn selected<K: Reflected>(&self, fields: &str) -> Informer<K> {
        let mut started = self.shared.started.lock();
        if let Some(informer) = started.get::<Informer<K>>(fields) {
            return informer;
        }
        let informer = Informer::<K>::new();
        let source = started.get::<Arc<Source<K::Object>>>(fields);
        if !source.is_some_and(|source| source.join(&informer)) {
            let source = Arc::new(Source::<K::Object>::new(self.shared.is_compressed));
            source.join(&informer);
            let config = watcher::Config::default();
            let config = if fields.is_empty() { config } else { config.fields(fields) };
            let running = Arc::clone(&source).run(self.shared.client.clone(), config, self.transform_of());
            let stop = self.shared.stop.clone();
            self.shared.tasks.spawn(async move { stop.run_until_cancelled(running).await });
            started.add(fields, source);
        }
        started.add(fields, informer.clone());
        informer
    }

    /// Has `transform` change objects of `K` before they are kept, to save memory. It must not depend on anything but the object,
    /// and holds for an informer that is not started yet.
    pub fn transform<K: Informed>(&self, transform: impl Fn(&mut K) + Send + Sync + 'static) {
        let transform: OwnTransform<K> = Arc::new(transform);
        self.shared.transforms.lock().insert(TypeId::of::<K>(), Box::new(transform));
    }

    fn transform_of<K: Informed>(&self) -> Transform<K> {
        let transforms = self.shared.transforms.lock();
        let own = transforms.get(&TypeId::of::<K>()).and_then(|any| any.downcast_ref::<OwnTransform<K>>()).cloned();
        Arc::new(move |object| {
            let dropped = object.meta_mut().managed_fields.take().is_some();
            if let Some(own) = &own {
                own(object);
            }
            dropped || own.is_some()
        })
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
        f.debug_struct("InformerFactory").field("started", &self.shared.started.lock().0.len()).finish()
    }
}
