use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

use crate::quantity::Quantity;

/// Amounts of what a node has and a pod asks for, as exact integers.
///
/// ```
/// use std::collections::BTreeMap;
/// use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
/// use orchestra_core::scheduler::Resources;
/// let list = BTreeMap::from([("cpu".to_owned(), Quantity("1.5".to_owned())), ("nvidia.com/gpu".to_owned(), Quantity("2".to_owned()))]);
/// let resources = Resources::from_list(&list);
/// assert_eq!((resources.milli_cpu, resources.get("nvidia.com/gpu")), (1500, 2));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Thousandths of a CPU.
    pub milli_cpu: i64,
    /// Bytes of memory.
    pub memory: i64,
    /// Bytes of local ephemeral storage.
    pub ephemeral_storage: i64,
    /// How many pods.
    pub pods: i64,
    /// Everything else by name: huge pages in bytes, extended resources in units.
    pub scalars: BTreeMap<Arc<str>, i64>,
}

impl Resources {
    /// Reads a `ResourceList`. What is not a quantity, or is negative, counts as zero: the API server lets neither in.
    pub fn from_list(list: &BTreeMap<String, ApiQuantity>) -> Self {
        let mut resources = Self::default();
        for (name, quantity) in list {
            let quantity = Quantity::try_from(quantity).unwrap_or_default();
            let amount = if name == "cpu" { quantity.milli_value() } else { quantity.value() };
            resources.set(name, amount.max(0));
        }
        resources
    }

    /// The amount of the resource `name`, in the unit of its field.
    pub fn get(&self, name: &str) -> i64 {
        match name {
            "cpu" => self.milli_cpu,
            "memory" => self.memory,
            "ephemeral-storage" => self.ephemeral_storage,
            "pods" => self.pods,
            _ => self.scalars.get(name).copied().unwrap_or(0),
        }
    }

    /// Sets the amount of the resource `name`, in the unit of its field.
    pub fn set(&mut self, name: &str, amount: i64) {
        match name {
            "cpu" => self.milli_cpu = amount,
            "memory" => self.memory = amount,
            "ephemeral-storage" => self.ephemeral_storage = amount,
            "pods" => self.pods = amount,
            _ => drop(self.scalars.insert(name.into(), amount)),
        }
    }

    /// Adds `other`, resource by resource. What is more than an `i64` holds is `i64::MAX`.
    pub fn add(&mut self, other: &Self) {
        self.merge(other, i64::saturating_add);
    }

    /// Takes `other` away, resource by resource.
    pub fn subtract(&mut self, other: &Self) {
        self.merge(other, i64::saturating_sub);
    }

    /// Whether a sum was too large for any of them: it is not what was added, and taking parts away does not lead back.
    pub(super) fn is_saturated(&self) -> bool {
        let amounts = [self.milli_cpu, self.memory, self.ephemeral_storage, self.pods];
        amounts.iter().chain(self.scalars.values()).any(|amount| *amount == i64::MAX)
    }

    /// Raises each resource to what it is in `other`, if that is more.
    pub fn raise_to(&mut self, other: &Self) {
        self.merge(other, i64::max);
    }

    fn merge(&mut self, other: &Self, combine: impl Fn(i64, i64) -> i64) {
        self.milli_cpu = combine(self.milli_cpu, other.milli_cpu);
        self.memory = combine(self.memory, other.memory);
        self.ephemeral_storage = combine(self.ephemeral_storage, other.ephemeral_storage);
        self.pods = combine(self.pods, other.pods);
        for (name, amount) in &other.scalars {
            match self.scalars.get_mut(name) {
                Some(own) => *own = combine(*own, *amount),
                None => drop(self.scalars.insert(Arc::clone(name), combine(0, *amount))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(pairs: &[(&str, &str)]) -> BTreeMap<String, ApiQuantity> {
        pairs.iter().map(|(name, amount)| ((*name).to_owned(), ApiQuantity((*amount).to_owned()))).collect()
    }

    #[test]
    fn amounts_are_rounded_up() {
        let resources = Resources::from_list(&list(&[("cpu", "1.0001"), ("memory", "0.5")]));
        assert_eq!((resources.milli_cpu, resources.memory), (1001, 1));
    }

    #[test]
    fn nonsense_counts_as_nothing() {
        let resources = Resources::from_list(&list(&[("cpu", "-1"), ("memory", "much")]));
        assert_eq!((resources.milli_cpu, resources.memory), (0, 0));
    }

    #[test]
    fn absurd_amounts_do_not_overflow() {
        let mut sum = Resources::from_list(&list(&[("memory", "8E")]));
        sum.add(&sum.clone());
        assert_eq!(sum.memory, i64::MAX);
    }

    #[test]
    fn what_was_added_can_be_taken_away() {
        let mut sum = Resources::from_list(&list(&[("cpu", "1"), ("a/b", "1")]));
        let other = Resources::from_list(&list(&[("cpu", "2"), ("a/b", "3"), ("c/d", "1")]));
        sum.add(&other);
        assert_eq!((sum.milli_cpu, sum.get("a/b"), sum.get("c/d")), (3000, 4, 1));
        sum.subtract(&other);
        assert_eq!((sum.milli_cpu, sum.get("a/b"), sum.get("c/d")), (1000, 1, 0));
    }
}
