//! Requests that act as somebody else, as those of `kubectl --as`.
#![allow(missing_docs, reason = "a test")]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use http::{Request, header, request::Parts};
use http_body_util::BodyExt;
use orchestra_store::{
    MemoryStore,
    apiserver::{
        ApiError, ApiServer,
        authentication::Authenticator,
        authorization::{Attributes, Authorizer, Target, Verdict},
        strategy::UserInfo,
    },
};
use serde_json::{Value, json};
use tower::ServiceExt;

/// Knows everybody by the name that they give as their token.
struct ByName;

impl Authenticator for ByName {
    fn authenticate(&self, head: &Parts) -> Result<UserInfo, ApiError> {
        let token = head.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let name = token.and_then(|token| token.strip_prefix("Bearer ")).ok_or_else(ApiError::unauthorized)?;
        Ok(UserInfo { name: name.to_owned(), ..UserInfo::default() })
    }
}

/// Jane may act as what is `good`, and others may do everything but that.
struct Good;

#[async_trait]
impl Authorizer for Good {
    async fn authorize(&self, asked: &Attributes) -> Verdict {
        match &asked.target {
            Target::Resource(target) if asked.verb == "impersonate" => {
                match asked.user.name == "jane" && target.name.starts_with("good") {
                    true => Verdict::allow(""),
                    false => Verdict::no_opinion(""),
                }
            }
            _ => Verdict::allow(""),
        }
    }
}

async fn server() -> ApiServer {
    let builder = ApiServer::builder(Arc::new(MemoryStore::default()));
    builder.authenticator(Arc::new(ByName)).authorizer(Arc::new(Good)).start().await.unwrap()
}

/// Who `name` is with these headers, as a SelfSubjectReview says.
async fn who(server: &ApiServer, name: &str, headers: &[(&str, &str)]) -> Result<Value, (u16, String)> {
    let mut request = Request::builder()
        .method("POST")
        .uri("/apis/authentication.k8s.io/v1/selfsubjectreviews")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, format!("Bearer {name}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = server.router().oneshot(request.body(Body::from("{}")).unwrap()).await.unwrap();
    let code = response.status().as_u16();
    let answer: Value = serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap();
    match code {
        201 => Ok(answer["status"]["userInfo"].clone()),
        _ => Err((code, answer["message"].as_str().unwrap().to_owned())),
    }
}

#[tokio::test(start_paused = true)]
async fn who_may_act_as_somebody_is_that_somebody() {
    let server = server().await;
    assert_eq!(who(&server, "jane", &[]).await.unwrap(), json!({"username": "jane"}));
    let bob = who(&server, "jane", &[("Impersonate-User", "good-bob")]).await.unwrap();
    assert_eq!(bob, json!({"username": "good-bob", "groups": ["system:authenticated"]}));
    let all = [
        ("Impersonate-User", "good-bob"),
        ("Impersonate-Uid", "good-uid"),
        ("Impersonate-Group", "good-friends"),
        ("Impersonate-Group", "good-others"),
        ("Impersonate-Extra-Acme.com%2Fproject", "good-one"),
        ("Impersonate-Extra-Acme.com%2Fproject", "good-two"),
    ];
    let expected = json!({
        "username": "good-bob",
        "uid": "good-uid",
        "groups": ["good-friends", "good-others", "system:authenticated"],
        "extra": {"acme.com/project": ["good-one", "good-two"]},
    });
    assert_eq!(who(&server, "jane", &all).await.unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn service_accounts_have_their_groups_where_none_are_named() {
    let server = server().await;
    let account = ("Impersonate-User", "system:serviceaccount:ns:good-robot");
    let robot = who(&server, "jane", &[account]).await.unwrap();
    let groups = json!(["system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"]);
    assert_eq!(robot, json!({"username": "system:serviceaccount:ns:good-robot", "groups": groups}));
    let robot = who(&server, "jane", &[account, ("Impersonate-Group", "good-friends")]).await.unwrap();
    assert_eq!(robot["groups"], json!(["good-friends", "system:authenticated"]));
}

#[tokio::test(start_paused = true)]
async fn who_may_not_is_refused_whatever_else_is_allowed() {
    let server = server().await;
    let refused = async |name: &str, headers: &[(&str, &str)]| who(&server, name, headers).await.unwrap_err();
    let (code, words) = refused("jane", &[("Impersonate-User", "eve")]).await;
    let expected = r#"users "eve" is forbidden: User "jane" cannot impersonate resource "users" in API group "" at the cluster scope"#;
    assert_eq!((code, words.as_str()), (403, expected));
    let (_, words) = refused("joe", &[("Impersonate-User", "system:serviceaccount:ns:good")]).await;
    let expected = r#"serviceaccounts "good" is forbidden: User "joe" cannot impersonate resource "serviceaccounts" in API group "" in the namespace "ns""#;
    assert_eq!(words, expected);
    for (header, value, resource) in [
        ("Impersonate-Group", "system:masters", r#"resource "groups" in API group """#),
        ("Impersonate-Uid", "1", r#"resource "uids" in API group "authentication.k8s.io""#),
        ("Impersonate-Extra-Scopes", "all", r#"resource "userextras/scopes" in API group "authentication.k8s.io""#),
    ] {
        let (code, words) = refused("jane", &[("Impersonate-User", "good-bob"), (header, value)]).await;
        assert_eq!(code, 403);
        assert!(words.contains(resource), "{words}");
        let (code, words) = refused("jane", &[(header, value)]).await;
        assert_eq!(code, 500);
        assert!(words.ends_with("without impersonating a user"), "{words}");
    }
}
