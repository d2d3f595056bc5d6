//! How much storage drivers have left, and where (KEP-1472).

use k8s_openapi::api::storage::v1::{CSIDriver, CSIStorageCapacity, StorageClass};
use orchestra_core::{
    ObjectKey,
    quantity::Quantity,
    scheduler::{NodeInfo, Objects},
    selector::label::Selector,
};

/// Where there is enough storage for a volume.
pub(super) enum Capacity {
    /// The driver does not tell.
    Unknown,
    /// Where one of these selects the node.
    Only(Vec<Selector>),
}

impl Capacity {
    /// What is known for a volume of this class and size.
    pub(super) fn of(class: &StorageClass, size: Quantity, objects: &Objects) -> Self {
        let driver = objects.get::<CSIDriver>(&ObjectKey::cluster(&class.provisioner));
        if !driver.is_some_and(|driver| is_told_by(driver)) {
            return Self::Unknown;
        }
        let name = class.metadata.name.as_deref().unwrap_or_default();
        let of_class = objects.iter::<CSIStorageCapacity>().filter(|capacity| capacity.storage_class_name == name);
        let enough = of_class.filter(|capacity| limit(capacity).is_some_and(|limit| limit >= size.value()));
        let places = enough.filter_map(|capacity| Selector::try_from(capacity.node_topology.as_ref()?).ok());
        Self::Only(places.collect())
    }

    pub(super) fn suffices_on(&self, node: &NodeInfo) -> bool {
        match self {
            Self::Unknown => true,
            Self::Only(places) => places.iter().any(|place| place.matches(node.labels())),
        }
    }
}

/// Whether the driver tells how much it has left.
pub(super) fn is_told_by(driver: &CSIDriver) -> bool {
    driver.spec.storage_capacity == Some(true)
}

/// The bytes of the largest volume that can be made there; `None` if it is not known.
pub(super) fn limit(capacity: &CSIStorageCapacity) -> Option<i64> {
    let quantity = capacity.maximum_volume_size.as_ref().or(capacity.capacity.as_ref())?;
    Some(Quantity::try_from(quantity).ok()?.value())
}
