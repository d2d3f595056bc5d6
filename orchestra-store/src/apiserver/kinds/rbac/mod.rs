//! Roles and who has them (`pkg/registry/rbac`, `pkg/apis/rbac`). What they grant is for an
//! [`Authorizer`](crate::apiserver::authorization::Authorizer) to say.

mod binding;
mod role;

pub use self::{
    binding::{ClusterRoleBindings, RoleBindings},
    role::{ClusterRoles, Roles},
};
use crate::apiserver::{registry::Resource, row as new_row, validation::name};

/// The group of these kinds.
const GROUP: &str = "rbac.authorization.k8s.io";

/// The row of roles.
pub fn roles() -> Resource {
    new_row(Roles)
}

/// The row of roles for the whole cluster.
pub fn cluster_roles() -> Resource {
    new_row(ClusterRoles).cluster_scoped()
}

/// The row of bindings of roles.
pub fn role_bindings() -> Resource {
    new_row(RoleBindings)
}

/// The row of bindings of roles for the whole cluster.
pub fn cluster_role_bindings() -> Resource {
    new_row(ClusterRoleBindings).cluster_scoped()
}

/// Names are parts of paths, and no more than that: `system:node`.
fn validate_name(name: &str) -> Option<String> {
    name::path_segment(name)
}

#[cfg(test)]
mod tests;
