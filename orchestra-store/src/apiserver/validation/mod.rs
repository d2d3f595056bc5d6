//! Checks of names, labels and metadata that all kinds share, in the words of `k8s.io/apimachinery/pkg/util/validation`.

pub mod name;
pub mod qualified_name;
