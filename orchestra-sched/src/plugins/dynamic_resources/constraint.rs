//! What the devices of a claim must have in common, or must not.

use k8s_openapi::api::resource::v1::{Device, DeviceAttribute, DeviceConstraint};

/// A constraint with the values of the devices that were chosen, the latest last.
pub(super) struct Constraint<'a> {
    requests: &'a [String],
    attribute: &'a str,
    /// Whether all are to be the same, else no two are.
    same: bool,
    values: Vec<&'a DeviceAttribute>,
}

impl<'a> Constraint<'a> {
    /// `None` if it is of a kind that is not known.
    pub(super) fn read(constraint: &'a DeviceConstraint) -> Option<Self> {
        let (attribute, same) = match (&constraint.match_attribute, &constraint.distinct_attribute) {
            (Some(attribute), _) => (attribute, true),
            (None, Some(attribute)) => (attribute, false),
            (None, None) => return None,
        };
        let requests = constraint.requests.as_deref().unwrap_or_default();
        Some(Self { requests, attribute, same, values: Vec::new() })
    }

    fn concerns(&self, request: &str, alternative: Option<&str>) -> bool {
        let full = alternative.map(|name| format!("{request}/{name}"));
        self.requests.is_empty() || self.requests.iter().any(|name| name == request || Some(name) == full.as_ref())
    }

    /// Adds a device of `driver` that is chosen for the request; `false` if it does not go with the others.
    pub(super) fn add(
        &mut self,
        (request, alternative): (&str, Option<&str>),
        driver: &str,
        device: &'a Device,
    ) -> bool {
        if !self.concerns(request, alternative) {
            return true;
        }
        let Some(value) = attribute(driver, device, self.attribute) else { return false };
        let fits = match self.same {
            true => self.values.first().is_none_or(|first| *first == value),
            false => !self.values.contains(&value),
        };
        if fits {
            self.values.push(value);
        }
        fits
    }

    /// Undoes the last [`add`](Self::add) that was fine.
    pub(super) fn remove(&mut self, (request, alternative): (&str, Option<&str>)) {
        if self.concerns(request, alternative) {
            self.values.pop();
        }
    }
}

/// The attribute of this full name. In the driver's own domain, names of devices' attributes need none.
fn attribute<'a>(driver: &str, device: &'a Device, name: &str) -> Option<&'a DeviceAttribute> {
    let attributes = device.attributes.as_ref()?;
    attributes.get(name).or_else(|| {
        let (domain, id) = name.split_once('/')?;
        attributes.get(id).filter(|_| domain == driver)
    })
}
