//! Tokens of service accounts, bound to the pod that mounts them (`pkg/kubelet/token`).

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{
    authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
    core::v1::{ServiceAccount, ServiceAccountTokenProjection},
};
use kube::{Api, api::PostParams};

use super::{VolumeError, plan::Subject};

/// How long a token holds unless told otherwise, in seconds.
const DEFAULT_SECONDS: i64 = 3600;
/// After this, one is replaced however long it holds.
const MAX_AGE: SignedDuration = SignedDuration::from_hours(24);

/// A pod's tokens, by volume and path.
#[derive(Debug, Default)]
pub(super) struct Tokens(BTreeMap<(String, String), Token>);

#[derive(Debug)]
struct Token {
    text: String,
    renew_at: Timestamp,
    expires_at: Timestamp,
}

impl Tokens {
    /// When one is to be replaced.
    pub(super) fn renew_at(&self) -> Option<Timestamp> {
        self.0.values().map(|token| token.renew_at).min()
    }

    /// The token for a file: the one there is until four fifths of its time are over.
    pub(super) async fn get(
        &mut self,
        of: &Subject<'_>,
        volume: &str,
        source: &ServiceAccountTokenProjection,
    ) -> Result<String, VolumeError> {
        let key = (volume.to_owned(), source.path.clone());
        let now = of.context.clock.now();
        if let Some(token) = self.0.get(&key).filter(|token| token.renew_at > now) {
            return Ok(token.text.clone());
        }
        match request(of, source, now).await {
            Ok(token) => {
                let text = token.text.clone();
                self.0.insert(key, token);
                Ok(text)
            }
            // One that still holds is better than none; it is tried again soon.
            Err(error) => match self.0.get_mut(&key).filter(|token| token.expires_at > now) {
                Some(token) => {
                    token.renew_at = now.checked_add(SignedDuration::from_secs(10)).unwrap_or(token.expires_at);
                    Ok(token.text.clone())
                }
                None => Err(VolumeError::new(format!("failed to fetch token: {error}"))),
            },
        }
    }
}

async fn request(of: &Subject<'_>, source: &ServiceAccountTokenProjection, now: Timestamp) -> Result<Token, String> {
    let metadata = &of.pod.metadata;
    let account = of.pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref()).unwrap_or("default");
    let audience = source.audience.clone().filter(|audience| !audience.is_empty());
    let asked = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: audience.map(|audience| vec![audience]),
            expiration_seconds: Some(source.expiration_seconds.unwrap_or(DEFAULT_SECONDS)),
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: metadata.name.clone(),
                uid: metadata.uid.clone(),
            }),
        }),
        ..TokenRequest::default()
    };
    let accounts = Api::<ServiceAccount>::namespaced(of.context.client.clone(), of.namespace);
    let given = match accounts.create_token_request(account, &PostParams::default(), &asked).await {
        Ok(given) => given.status.unwrap_or_default(),
        Err(kube::Error::Api(status)) => return Err(status.message.clone()),
        Err(error) => return Err(error.to_string()),
    };
    let (Some(text), Some(expires_at)) = (given.token, given.expiration_timestamp) else {
        return Err("the API server gave no token".to_owned());
    };
    Ok(Token { text, renew_at: renewal(now, expires_at.0), expires_at: expires_at.0 })
}

fn renewal(now: Timestamp, expires_at: Timestamp) -> Timestamp {
    let life = expires_at.duration_since(now);
    let most = (life * 4 / 5).min(MAX_AGE).max(SignedDuration::from_secs(1));
    now.checked_add(most).unwrap_or(expires_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_replaced_in_time() {
        let now = Timestamp::UNIX_EPOCH;
        for (life, seconds) in [(3600, 2880), (10, 8), (0, 1), (10 * 24 * 3600, 24 * 3600)] {
            let at = renewal(now, now + SignedDuration::from_secs(life));
            assert_eq!(at.duration_since(now).as_secs(), seconds);
        }
    }
}
