//! From addresses back to what has them.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

/// Which objects have an address.
#[derive(Debug)]
pub(super) struct Reverse<T> {
    objects: HashMap<IpAddr, Vec<Arc<T>>>,
}

impl<T> Default for Reverse<T> {
    fn default() -> Self {
        Self { objects: HashMap::new() }
    }
}

impl<T> Reverse<T> {
    pub(super) fn at(&self, address: IpAddr) -> impl Iterator<Item = &T> {
        self.objects.get(&address).into_iter().flatten().map(Arc::as_ref)
    }

    pub(super) fn insert(&mut self, object: &Arc<T>, addresses: impl Iterator<Item = IpAddr>) {
        for address in addresses {
            let objects = self.objects.entry(address).or_default();
            // It may name an address twice.
            if !objects.iter().any(|other| Arc::ptr_eq(other, object)) {
                objects.push(Arc::clone(object));
            }
        }
    }

    pub(super) fn remove(&mut self, object: &Arc<T>, addresses: impl Iterator<Item = IpAddr>) {
        for address in addresses {
            if let Some(objects) = self.objects.get_mut(&address) {
                objects.retain(|other| !Arc::ptr_eq(other, object));
                if objects.is_empty() {
                    self.objects.remove(&address);
                }
            }
        }
    }
}
