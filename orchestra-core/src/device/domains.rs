//! `device.attributes` and `device.capacity`: maps by domain in which a domain that the device does not know has no entries, so that
//! `has(device.attributes["dra.example.com"].model)` needs no second check.

use std::collections::{BTreeMap, HashMap};

use cel::{
    ExecutionError,
    common::{
        traits::{Container, Indexer, Iterable, Sizer},
        types::{CelInt, CelMap, CelString, Type},
        value::{CowVal, Val},
    },
};

/// Values by domain and name.
#[derive(Clone, Debug)]
pub(super) struct Domains(CelMap<'static>);

impl Domains {
    /// Sorts values by the domain of their names, which is `driver` where a name has none.
    pub(super) fn new(driver: &str, values: impl Iterator<Item = (String, Box<dyn Val>)>) -> Self {
        let mut domains: BTreeMap<String, HashMap<_, Box<dyn Val>>> = BTreeMap::new();
        for (name, value) in values {
            let (domain, name) = name.split_once('/').unwrap_or((driver, &name));
            domains.entry(domain.to_owned()).or_default().insert(name.to_owned().into(), value);
        }
        let boxed = |names: HashMap<_, Box<dyn Val>>| -> Box<dyn Val> { Box::new(CelMap::from(names)) };
        let domains: HashMap<_, _> = domains.into_iter().map(|(domain, names)| (domain.into(), boxed(names))).collect();
        Self(CelMap::from(domains))
    }
}

impl Val for Domains {
    fn get_type(&self) -> &Type {
        self.0.get_type()
    }

    fn cel_type() -> &'static Type {
        CelMap::cel_type()
    }

    fn as_container(&self) -> Option<&dyn Container> {
        self.0.as_container()
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_iterable<'b, 'v>(&'b self) -> Option<&'b (dyn Iterable + 'v)>
    where
        Self: 'v,
    {
        self.0.as_iterable()
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }
}

impl Sizer for Domains {
    fn size(&self) -> CelInt {
        self.0.size()
    }
}

impl Indexer for Domains {
    fn get<'b, 'v>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        match self.0.get(key) {
            Err(ExecutionError::NoSuchKey(_)) if key.downcast_ref::<CelString<'_>>().is_some() => {
                Ok(CowVal::owned(CelMap::default()))
            }
            found => found,
        }
    }

    fn steal<'v>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(key).map(CowVal::into_owned)
    }
}
