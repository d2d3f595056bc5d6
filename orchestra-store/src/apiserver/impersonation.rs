//! Acting as somebody else (`pkg/endpoints/filters/impersonation` of `k8s.io/apiserver`): `kubectl --as`.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName};
use percent_encoding::percent_decode_str;

use super::{
    ApiError,
    authorization::{self, ResourceTarget},
    server::Shared,
    service_account_token,
    strategy::UserInfo,
};

const USER: HeaderName = HeaderName::from_static("impersonate-user");
const UID: HeaderName = HeaderName::from_static("impersonate-uid");
const GROUP: HeaderName = HeaderName::from_static("impersonate-group");
const EXTRA: &str = "impersonate-extra-";

const ANONYMOUS: &str = "system:anonymous";
const AUTHENTICATED: &str = "system:authenticated";
const UNAUTHENTICATED: &str = "system:unauthenticated";

/// Who a request of `user` acts as: somebody else if its headers say so and `user` may impersonate all that they name.
///
/// A header that names a group, a uid or more of nobody in particular is an error, as in Kubernetes.
pub(super) async fn acting_as(shared: &Shared, user: UserInfo, headers: &HeaderMap) -> Result<UserInfo, ApiError> {
    let Some(wanted) = Wanted::of(headers)? else { return Ok(user) };
    for target in wanted.targets() {
        authorization::allow(shared, &user, "impersonate", &target).await?;
    }
    Ok(wanted.user())
}

/// Whom the headers of a request name.
#[derive(Default)]
struct Wanted {
    name: String,
    uid: String,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
}

impl Wanted {
    fn of(headers: &HeaderMap) -> Result<Option<Self>, ApiError> {
        let all = |name: &HeaderName| headers.get_all(name).iter().map(text).collect::<Vec<_>>();
        let first = |name: &HeaderName| headers.get(name).map(text).unwrap_or_default();
        let mut wanted = Self { name: first(&USER), uid: first(&UID), groups: all(&GROUP), ..Self::default() };
        for (name, value) in headers {
            if let Some(key) = name.as_str().strip_prefix(EXTRA) {
                // Header names cannot have all characters that keys may have, so that these are encoded.
                let key = percent_decode_str(key).decode_utf8().map_or_else(|_| key.to_owned(), |key| key.into_owned());
                wanted.extra.entry(key).or_default().push(text(value));
            }
        }
        let says_more = !wanted.uid.is_empty() || !wanted.groups.is_empty() || !wanted.extra.is_empty();
        match (wanted.name.is_empty(), says_more) {
            (true, true) => Err(ApiError::internal("requested uid, groups or extra without impersonating a user")),
            (true, false) => Ok(None),
            (false, _) => Ok(Some(wanted)),
        }
    }

    /// The namespace and the name, if it is a service account.
    fn service_account(&self) -> Option<(&str, &str)> {
        self.name.strip_prefix("system:serviceaccount:")?.split_once(':').filter(|(_, name)| !name.contains(':'))
    }

    /// What one must be allowed to impersonate.
    fn targets(&self) -> Vec<ResourceTarget> {
        let target = |resource: &str, name: &str| ResourceTarget {
            resource: resource.to_owned(),
            name: name.to_owned(),
            ..ResourceTarget::default()
        };
        let authentication = |target: ResourceTarget| ResourceTarget {
            group: "authentication.k8s.io".to_owned(),
            version: "v1".to_owned(),
            ..target
        };
        let who = match self.service_account() {
            Some((namespace, name)) => {
                ResourceTarget { namespace: namespace.to_owned(), ..target("serviceaccounts", name) }
            }
            None => target("users", &self.name),
        };
        let groups = self.groups.iter().map(|group| target("groups", group));
        let extra = self.extra.iter().flat_map(|(key, values)| values.iter().map(move |value| (key, value)));
        let extra = extra.map(|(key, value)| {
            authentication(ResourceTarget { subresource: key.clone(), ..target("userextras", value) })
        });
        let uid = (!self.uid.is_empty()).then(|| authentication(target("uids", &self.uid)));
        [who].into_iter().chain(groups).chain(extra).chain(uid).collect()
    }

    /// The user that the request acts as.
    fn user(self) -> UserInfo {
        let mut groups = match self.service_account() {
            Some((namespace, _)) if self.groups.is_empty() => service_account_token::groups(namespace).to_vec(),
            _ => self.groups.clone(),
        };
        let is = |wanted: &str| groups.iter().any(|group| group == wanted);
        // Whether somebody is known is said once.
        if self.name == ANONYMOUS {
            if !is(UNAUTHENTICATED) {
                groups.push(UNAUTHENTICATED.to_owned());
            }
        } else if !is(AUTHENTICATED) && !is(UNAUTHENTICATED) {
            groups.push(AUTHENTICATED.to_owned());
        }
        UserInfo { name: self.name, uid: self.uid, groups, extra: self.extra }
    }
}

fn text(value: &http::HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}
