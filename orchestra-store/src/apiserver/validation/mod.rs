//! Checks of names, labels and metadata that all kinds share, in the words of `k8s.io/apimachinery/pkg/util/validation`.

pub mod ip;
pub mod label_selector;
pub mod name;
pub mod port;
pub mod qualified_name;
