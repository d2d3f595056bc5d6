//! Checks of names and of the keys and values of labels, in the words of `k8s.io/apimachinery/pkg/util/validation`.

pub mod name;
pub mod qualified_name;
