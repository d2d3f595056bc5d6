//! What is in force, and the step from it to what is wanted.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    super::{Family, Front, PortKey, PortRules, ProxyConfig, ProxyNode, RuleSet},
    element::{Key, SetName, Value},
    items::Items,
    shape::Shape,
    table::fresh,
    transaction::Transaction,
};

/// How long a thing that is out of use stays: packets are on their way through it, and kernels before 6.2 take their time to notice that nothing leads
/// to a chain any more.
const LINGER: Duration = Duration::from_secs(1);

/// What the tables hold.
#[derive(Debug)]
pub(super) struct Applied {
    node: ProxyNode,
    config: ProxyConfig,
    pub(super) ports: BTreeMap<PortKey, Arc<PortRules>>,
    /// How many ports have a member or use a chain.
    members: HashMap<(SetName, Key), usize>,
    shapes: HashMap<(Family, Shape), usize>,
    /// What is to go, and since when.
    idle_chains: BTreeMap<(Family, String), Instant>,
    idle_elements: BTreeMap<(Family, SetName, Key), Instant>,
}

impl Applied {
    /// All of `wanted` in fresh tables.
    pub(super) fn fresh(wanted: &RuleSet, now: Instant) -> (Self, Transaction) {
        let mut applied = Self {
            node: wanted.node().clone(),
            config: wanted.config().clone(),
            ports: BTreeMap::new(),
            members: HashMap::new(),
            shapes: HashMap::new(),
            idle_chains: BTreeMap::new(),
            idle_elements: BTreeMap::new(),
        };
        let mut transaction = Transaction::default();
        for family in Family::ALL {
            transaction.declare(&fresh(family, &applied.node, &applied.config));
        }
        applied.step(wanted, &mut transaction, now);
        (applied, transaction)
    }

    /// Whether `wanted` can be reached by steps: what holds for all Services is the same.
    pub(super) fn leads_to(&self, wanted: &RuleSet) -> bool {
        self.config == *wanted.config()
            && Family::ALL.iter().all(|family| self.node.primary(*family) == wanted.node().primary(*family))
    }

    /// Puts into `transaction` what `wanted` has other than this, and takes it as done. Tells the ports that changed.
    pub(super) fn step(&mut self, wanted: &RuleSet, transaction: &mut Transaction, now: Instant) -> Vec<PortKey> {
        let changed = self.changed(wanted);
        let mut released = Released::default();
        // Elements go before any come: a front may go from one Service to another.
        for key in &changed {
            if self.ports.contains_key(key) {
                let (old, new) = (self.items(key, self.ports.get(key)), self.items(key, wanted.port(key)));
                Step { key, applied: self, transaction: &mut *transaction, now }.remove_elements(&old, &new);
            }
        }
        for key in &changed {
            let rules = wanted.port(key);
            let (old, new) = (self.items(key, self.ports.get(key)), self.items(key, rules));
            Step { key, applied: self, transaction: &mut *transaction, now }.add(&old, &new);
            released.take(key.family, old);
            match rules {
                Some(rules) => self.ports.insert(key.clone(), Arc::clone(rules)),
                None => self.ports.remove(key),
            };
        }
        self.release(released, transaction, now);
        changed
    }

    fn items(&self, key: &PortKey, rules: Option<&Arc<PortRules>>) -> Items {
        rules.map(|rules| Items::of(key, rules, &self.config.local_traffic)).unwrap_or_default()
    }

    /// Equal values are mostly the same allocation, as a set of rules keeps what did not change.
    fn changed(&self, wanted: &RuleSet) -> Vec<PortKey> {
        let differs = |key: &PortKey, rules: &Arc<PortRules>| {
            self.ports.get(key).is_none_or(|old| !Arc::ptr_eq(old, rules) && old != rules)
        };
        let new = wanted.ports().filter(|(key, rules)| differs(key, rules)).map(|(key, _)| key.clone());
        let gone = self.ports.keys().filter(|key| wanted.port(key).is_none()).cloned();
        new.chain(gone).collect()
    }

    /// What nobody has any more goes: members now, chains later.
    fn release(&mut self, released: Released, transaction: &mut Transaction, now: Instant) {
        for (family, member) in released.members {
            if let Some(count) = self.members.get_mut(&member) {
                *count -= 1;
                if *count == 0 {
                    self.members.remove(&member);
                    transaction.delete(family, member.0, &member.1);
                }
            }
        }
        for shape in released.shapes {
            if let Some(count) = self.shapes.get_mut(&shape) {
                *count -= 1;
                if *count == 0 {
                    self.shapes.remove(&shape);
                    self.idle_chains.insert((shape.0, shape.1.name()), now);
                }
            }
        }
    }

    /// When there will be something to [`tidy`](Self::tidy).
    pub(super) fn tidy_at(&self) -> Option<Instant> {
        self.idle_chains.values().chain(self.idle_elements.values()).min().map(|since| *since + LINGER)
    }

    /// Removes what has been out of use for long enough.
    pub(super) fn tidy(&mut self, now: Instant) -> Transaction {
        let mut transaction = Transaction::default();
        let over = |since: &Instant| now.saturating_duration_since(*since) >= LINGER;
        self.idle_elements.retain(|(family, set, key), since| {
            let over = over(since);
            if over {
                transaction.delete(*family, *set, key);
            }
            !over
        });
        self.idle_chains.retain(|(family, name), since| {
            let over = over(since);
            if over {
                transaction.delete_chain(*family, name);
            }
            !over
        });
        transaction
    }
}

/// What ports shared and have no longer.
#[derive(Default)]
struct Released {
    members: Vec<(Family, (SetName, Key))>,
    shapes: Vec<(Family, Shape)>,
}

impl Released {
    fn take(&mut self, family: Family, old: Items) {
        self.members.extend(old.members.into_iter().map(|member| (family, member)));
        self.shapes.extend(old.shapes.into_iter().map(|shape| (family, shape)));
    }
}

/// The step of one port.
struct Step<'a> {
    key: &'a PortKey,
    applied: &'a mut Applied,
    transaction: &'a mut Transaction,
    now: Instant,
}

impl Step<'_> {
    fn add(&mut self, old: &Items, new: &Items) {
        self.share(new);
        self.change_chains(old, new);
        self.add_elements(old, new);
    }

    fn share(&mut self, new: &Items) {
        let family = self.key.family;
        for member in &new.members {
            let count = self.applied.members.entry(*member).or_default();
            *count += 1;
            if *count == 1 {
                self.transaction.add(family, member.0, &member.1, &Value::Member, self.key);
            }
        }
        for shape in &new.shapes {
            let count = self.applied.shapes.entry((family, *shape)).or_default();
            *count += 1;
            if *count == 1 && self.applied.idle_chains.remove(&(family, shape.name())).is_none() {
                let rules = shape.rules(family, &self.applied.config.local_traffic);
                self.transaction.ahead().chain(family, &shape.name(), &rules);
            }
        }
    }

    fn change_chains(&mut self, old: &Items, new: &Items) {
        let family = self.key.family;
        // A set's timeout cannot be changed: the set is made anew, and so are the chains that name it.
        let anew: BTreeSet<&String> = new
            .affinity_sets
            .iter()
            .filter(|(set, timeout)| old.affinity_sets.get(*set).is_some_and(|old| old != *timeout))
            .map(|(set, _)| set)
            .collect();
        for set in old.affinity_sets.keys().filter(|set| anew.contains(set) || !new.affinity_sets.contains_key(*set)) {
            self.transaction.chains().delete_affinity_set(family, set);
        }
        for (set, timeout) in &new.affinity_sets {
            if anew.contains(set) {
                self.transaction.chains().affinity_set(family, set, *timeout);
            } else if !old.affinity_sets.contains_key(set) {
                self.transaction.ahead().affinity_set(family, set, *timeout);
            }
        }
        for (chain, rules) in &new.chains {
            self.applied.idle_chains.remove(&(family, chain.clone()));
            if !anew.is_empty() || old.chains.get(chain).is_some_and(|old| old != rules) {
                self.transaction.chains().chain(family, chain, rules);
            } else if !old.chains.contains_key(chain) {
                self.transaction.ahead().chain(family, chain, rules);
            }
        }
        for chain in old.chains.keys().filter(|chain| !new.chains.contains_key(*chain)) {
            self.transaction.chains().flush(family, chain);
            self.applied.idle_chains.insert((family, chain.clone()), self.now);
        }
    }

    /// A packet may have drawn a number already and not looked it up yet. So numbers that a front has no longer lead to the endpoints that are
    /// left, or to what they led to if none are, and go later.
    fn remove_elements(&mut self, old: &Items, new: &Items) {
        let family = self.key.family;
        for ((set, key), value) in &old.elements {
            match (new.elements.get(&(*set, *key)), key) {
                (Some(same), _) if same == value => {}
                (None, Key::Slot(front, number)) => {
                    if let Some(value) = instead(new, *set, *front, *number) {
                        self.transaction.delete(family, *set, key);
                        self.transaction.add(family, *set, key, value, self.key);
                    }
                    self.applied.idle_elements.insert((family, *set, *key), self.now);
                }
                _ => self.transaction.delete(family, *set, key),
            }
        }
    }

    fn add_elements(&mut self, old: &Items, new: &Items) {
        let family = self.key.family;
        for ((set, key), value) in &new.elements {
            if old.elements.get(&(*set, *key)) == Some(value) {
                continue;
            }
            if self.applied.idle_elements.remove(&(family, *set, *key)).is_some() {
                self.transaction.delete(family, *set, key);
            }
            self.transaction.add(family, *set, key, value, self.key);
        }
    }
}

/// The endpoint that stands in for a number that is too high.
fn instead(new: &Items, set: SetName, front: Front, number: usize) -> Option<&Value> {
    let of_front = new.elements.range((set, Key::Slot(front, 0))..=(set, Key::Slot(front, usize::MAX)));
    let count = of_front.clone().count();
    of_front.map(|(_, value)| value).nth(number.checked_rem(count)?)
}
