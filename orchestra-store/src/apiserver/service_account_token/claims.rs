use serde::{Deserialize, Serialize};

/// What a token says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::apiserver) struct Claims {
    /// For whom it is.
    pub(in crate::apiserver) aud: Vec<String>,
    /// Not good from then on, in seconds since 1970.
    pub(in crate::apiserver) exp: i64,
    /// When it was made.
    pub(in crate::apiserver) iat: i64,
    /// Who made it.
    pub(in crate::apiserver) iss: String,
    /// A name of its own.
    pub(in crate::apiserver) jti: String,
    #[serde(rename = "kubernetes.io")]
    pub(in crate::apiserver) kubernetes: Kubernetes,
    /// Not good before.
    pub(in crate::apiserver) nbf: i64,
    /// The user: `system:serviceaccount:NAMESPACE:NAME`.
    pub(in crate::apiserver) sub: String,
}

/// Kubernetes' own claims.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::apiserver) struct Kubernetes {
    pub(in crate::apiserver) namespace: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::apiserver) node: Option<Bound>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::apiserver) pod: Option<Bound>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::apiserver) secret: Option<Bound>,
    pub(in crate::apiserver) serviceaccount: Bound,
    /// When it should have been replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::apiserver) warnafter: Option<i64>,
}

/// An object whose end is the token's too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::apiserver) struct Bound {
    pub(in crate::apiserver) name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(in crate::apiserver) uid: String,
}
