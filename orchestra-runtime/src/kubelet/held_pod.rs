use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use orchestra_core::informer::Packed;

/// A pod as a kubelet keeps it: whole while there is work to do on it, packed while it rests, which is nearly always.
#[derive(Clone, Debug)]
pub(super) struct HeldPod {
    /// There is one of the two at least.
    whole: Option<Arc<Pod>>,
    packed: Option<Arc<Packed<Pod>>>,
    /// Whether it is as the API server told of it.
    is_told: bool,
}

impl HeldPod {
    /// A pod as the API server told of it.
    pub(super) fn told(packed: Arc<Packed<Pod>>, whole: Option<Arc<Pod>>) -> Self {
        Self { whole, packed: Some(packed), is_told: true }
    }

    /// The pod.
    pub(super) fn get(&self) -> Arc<Pod> {
        match (&self.whole, &self.packed) {
            (Some(whole), _) => Arc::clone(whole),
            (None, Some(packed)) => packed.object(),
            (None, None) => Arc::default(),
        }
    }

    /// The pod, which is decoded once until it [rests](Self::rest) again.
    pub(super) fn wake(&mut self) -> Arc<Pod> {
        let whole = self.get();
        self.whole = Some(Arc::clone(&whole));
        whole
    }

    /// Keeps it in little room from now on.
    pub(super) fn rest(&mut self) {
        self.packed();
        self.whole = None;
    }

    /// It in little room; it is packed once.
    pub(super) fn packed(&mut self) -> Arc<Packed<Pod>> {
        let whole = &self.whole;
        let pack = || Arc::new(Packed::new(whole.as_deref().unwrap_or(&Pod::default())));
        Arc::clone(self.packed.get_or_insert_with(pack))
    }

    /// Whether it is certain, without a look into them, that both are to be the same: the API server counts what pods are to be.
    pub(super) fn has_spec_of(&self, other: &Self) -> bool {
        let generation =
            |pod: &Self| pod.packed.as_ref().filter(|_| pod.is_told).and_then(|packed| packed.generation());
        generation(self).is_some_and(|own| generation(other) == Some(own))
    }
}

impl From<Arc<Pod>> for HeldPod {
    fn from(pod: Arc<Pod>) -> Self {
        Self { whole: Some(pod), packed: None, is_told: false }
    }
}
