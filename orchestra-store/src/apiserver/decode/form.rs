use orchestra_core::quantity::Quantity;

use super::go_time;

/// Texts that Kubernetes reads while it decodes, so that a malformed one is a bad request, not an invalid object.
#[derive(Clone, Copy)]
pub(super) enum Form {
    Quantity,
    Time(go_time::Layout),
}

impl Form {
    /// The form of the texts of a type.
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "Quantity" => Some(Self::Quantity),
            "Time" => Some(Self::Time(go_time::Layout::Rfc3339)),
            "MicroTime" => Some(Self::Time(go_time::Layout::Micro)),
            _ => None,
        }
    }

    /// Why the text does not have the form, in Kubernetes' words.
    pub(super) fn error(self, text: &str) -> Option<String> {
        match self {
            Self::Quantity => text.parse::<Quantity>().err().map(|error| error.to_string()),
            Self::Time(layout) => go_time::error(layout, text),
        }
    }
}
