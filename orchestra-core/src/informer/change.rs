use std::sync::Arc;

/// What happened to an object.
#[derive(Clone, Debug)]
pub enum Change<K> {
    /// It is new, or was there before the handler subscribed.
    Added(Arc<K>),
    /// It was changed. Changes in quick succession, or during a lost connection, may arrive as one.
    Updated {
        /// The state before.
        old: Arc<K>,
        /// The state now.
        new: Arc<K>,
    },
    /// It is gone; this is the last state that was seen.
    Deleted(Arc<K>),
}

impl<K> Change<K> {
    /// The newest state of the object.
    pub fn object(&self) -> &Arc<K> {
        match self {
            Self::Added(object) | Self::Deleted(object) | Self::Updated { new: object, .. } => object,
        }
    }

    /// The state before the change, if there was one.
    pub fn old(&self) -> Option<&Arc<K>> {
        match self {
            Self::Added(_) => None,
            Self::Updated { old, .. } => Some(old),
            Self::Deleted(object) => Some(object),
        }
    }

    /// The state after the change, if there is one.
    #[expect(clippy::new_ret_no_self, reason = "the counterpart of `old`, not a constructor")]
    pub fn new(&self) -> Option<&Arc<K>> {
        match self {
            Self::Added(object) | Self::Updated { new: object, .. } => Some(object),
            Self::Deleted(_) => None,
        }
    }
}
