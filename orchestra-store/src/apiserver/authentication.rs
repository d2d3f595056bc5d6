//! Who asks: [`Authenticator`] turns a request's head into a user.

use http::{Request, header, request::Parts};

use super::{
    ApiError,
    server::Shared,
    service_account_token::{self, ISSUER, Refused},
    strategy::UserInfo,
};

/// Finds the user of a request.
///
/// Whose a bearer token is, as a TokenReview asks, is found out by a request that has nothing but the token: somebody for whom it makes no
/// difference is not known by it.
pub trait Authenticator: Send + Sync + 'static {
    /// The user, or the error to answer with.
    fn authenticate(&self, head: &Parts) -> Result<UserInfo, ApiError>;
}

/// Takes everyone for the administrator of a cluster without access control.
#[derive(Clone, Copy, Debug, Default)]
pub struct AlwaysAdmin;

impl Authenticator for AlwaysAdmin {
    fn authenticate(&self, _head: &Parts) -> Result<UserInfo, ApiError> {
        let groups = ["system:masters", "system:authenticated"].map(str::to_owned).to_vec();
        Ok(UserInfo { name: "system:admin".to_owned(), groups, ..UserInfo::default() })
    }
}

/// Who has a bearer token, and for which of the wanted audiences; for the API server's own where none are said. The error is why nobody has.
pub(super) async fn review(
    shared: &Shared,
    token: &str,
    audiences: &[String],
) -> Result<(UserInfo, Vec<String>), Refused> {
    let own = [ISSUER.to_owned()];
    let audiences = if audiences.is_empty() { &own } else { audiences };
    if let Some(found) = service_account_token::review(shared, token, audiences, shared.clock.now()).await? {
        return Ok(found);
    }
    // What other authenticators know is for the API server itself.
    let meant: Vec<String> = audiences.iter().filter(|audience| *audience == ISSUER).cloned().collect();
    let user = holder(&*shared.authenticator, token).filter(|_| !meant.is_empty());
    user.map(|user| (user, meant)).ok_or_else(Refused::unknown)
}

/// Whom an authenticator takes the holder of a token for. Somebody who is known without it too is not known by it.
fn holder(authenticator: &dyn Authenticator, token: &str) -> Option<UserInfo> {
    let without = Request::new(()).into_parts().0;
    let mut with = without.clone();
    with.headers.insert(header::AUTHORIZATION, format!("Bearer {token}").parse().ok()?);
    let user = authenticator.authenticate(&with).ok()?;
    let is_known_anyway = authenticator.authenticate(&without).is_ok_and(|other| other == user);
    (!is_known_anyway).then_some(user)
}
