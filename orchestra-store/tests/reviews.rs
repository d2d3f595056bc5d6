//! Reviews: who somebody is and what they may do, as the server's own authenticators and authorizer say.
#![allow(missing_docs, reason = "a test")]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::body::Body;
use http::{Request, header, request::Parts};
use http_body_util::BodyExt;
use k8s_openapi::api::authorization::v1::{ResourceRule, SubjectRulesReviewStatus};
use orchestra_core::clock::TokioClock;
use orchestra_store::{
    MemoryStore,
    apiserver::{
        ApiError, ApiServer, ApiServerBuilder,
        authentication::Authenticator,
        authorization::{Attributes, Authorizer, ResourceTarget, Target, Verdict},
        strategy::UserInfo,
    },
};
use serde_json::{Value, json};
use tower::ServiceExt;

const ACCESS: &str = "/apis/authorization.k8s.io/v1";
const TOKENS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const SELF: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

struct Server(ApiServer);

impl Server {
    async fn start(configure: impl FnOnce(ApiServerBuilder) -> ApiServerBuilder) -> Self {
        let clock = Arc::new(TokioClock::starting_at("2026-01-01T00:00:00Z".parse().unwrap()));
        let builder = ApiServer::builder(Arc::new(MemoryStore::default())).clock(clock);
        Self(configure(builder).start().await.unwrap())
    }

    async fn send(&self, method: &str, path: &str, token: Option<&str>, body: Value) -> (u16, Value) {
        let mut request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let response = self.0.router().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap();
        let code = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (code, serde_json::from_slice(&body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&body))))
    }

    /// Asks, and gives the answer's status.
    async fn ask(&self, path: &str, token: Option<&str>, spec: Value) -> Value {
        let (code, answer) = self.send("POST", path, token, json!({ "spec": spec })).await;
        assert_eq!(code, 201, "{answer}");
        answer["status"].clone()
    }

    /// Asks what cannot be asked so.
    async fn refused(&self, path: &str, body: Value) -> (u16, String) {
        let (code, answer) = self.send("POST", path, None, body).await;
        (code, answer["message"].as_str().unwrap_or_default().to_owned())
    }

    /// A token of the service account `robot`, which is made.
    async fn token(&self, spec: Value) -> String {
        let accounts = "/api/v1/namespaces/default/serviceaccounts";
        self.send("POST", accounts, None, json!({"metadata": {"name": "robot"}})).await;
        let (code, answer) = self.send("POST", &format!("{accounts}/robot/token"), None, json!({ "spec": spec })).await;
        assert_eq!(code, 201, "{answer}");
        answer["status"]["token"].as_str().unwrap().to_owned()
    }
}

fn is_about(asked: &Attributes, resource: &str) -> bool {
    matches!(&asked.target, Target::Resource(target) if target.resource == resource)
}

/// Jane may get the config map `one`, and is told so; Joe is forbidden everything; nobody knows about Jim.
struct Named;

#[async_trait]
impl Authorizer for Named {
    async fn authorize(&self, asked: &Attributes) -> Verdict {
        let one = ResourceTarget {
            version: "v1".to_owned(),
            resource: "configmaps".to_owned(),
            namespace: "default".to_owned(),
            name: "one".to_owned(),
            ..ResourceTarget::default()
        };
        match asked.user.name.as_str() {
            "jane" if asked.verb == "get" && asked.target == Target::Resource(one) => Verdict::allow("she may"),
            "jane" if asked.verb == "get" && asked.target == Target::Path("/metrics".to_owned()) => Verdict::allow(""),
            "jane" if is_about(asked, "selfsubjectrulesreviews") => Verdict::allow(""),
            "joe" => Verdict::deny("he never may"),
            "jim" => Verdict { error: Some("who?".to_owned()), ..Verdict::no_opinion("") },
            _ if asked.user.groups.iter().any(|group| group == "friends") => Verdict::allow(""),
            _ => Verdict::no_opinion(""),
        }
    }

    async fn rules(&self, user: &UserInfo, namespace: &str) -> SubjectRulesReviewStatus {
        let text = |text: &str| vec![text.to_owned()];
        let rule = ResourceRule {
            verbs: text("get"),
            resource_names: Some(vec![format!("{}-in-{namespace}", user.name)]),
            ..ResourceRule::default()
        };
        SubjectRulesReviewStatus { resource_rules: vec![rule], ..SubjectRulesReviewStatus::default() }
    }
}

/// Knows the holders of tokens by the tokens themselves, and everybody else not at all.
struct ByName;

impl Authenticator for ByName {
    fn authenticate(&self, head: &Parts) -> Result<UserInfo, ApiError> {
        let token =
            head.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        match token {
            Some("bad") => Err(ApiError::unauthorized()),
            Some(name) => Ok(UserInfo { name: name.to_owned(), ..UserInfo::default() }),
            None => Ok(UserInfo { name: "anonymous".to_owned(), ..UserInfo::default() }),
        }
    }
}

fn map(name: &str, verb: &str) -> Value {
    json!({"resource": "configmaps", "version": "v1", "namespace": "default", "name": name, "verb": verb})
}

#[tokio::test(start_paused = true)]
async fn everybody_may_do_everything_unless_an_authorizer_says_otherwise() {
    let server = Server::start(|server| server).await;
    let (code, answer) = server.send("POST", SELF, None, json!({})).await;
    let user = json!({"username": "system:admin", "groups": ["system:masters", "system:authenticated"]});
    assert_eq!((code, &answer["status"]), (201, &json!({ "userInfo": user })));
    assert_eq!(answer["metadata"], json!({"creationTimestamp": "2026-01-01T00:00:00Z"}));

    let token = server.token(json!({})).await;
    let (_, answer) = server.send("POST", SELF, Some(&token), json!({})).await;
    let robot = &answer["status"]["userInfo"];
    assert_eq!(robot["username"], "system:serviceaccount:default:robot");
    let id = robot["extra"]["authentication.kubernetes.io/credential-id"][0].as_str().unwrap();
    assert!(id.starts_with("JTI="), "{id}");
    for (path, spec) in [
        ("selfsubjectaccessreviews", json!({"resourceAttributes": map("one", "get")})),
        ("subjectaccessreviews", json!({"user": "anybody", "nonResourceAttributes": {"path": "/x", "verb": "get"}})),
    ] {
        assert_eq!(server.ask(&format!("{ACCESS}/{path}"), Some(&token), spec).await, json!({"allowed": true}));
    }
    let rules = server.ask(&format!("{ACCESS}/selfsubjectrulesreviews"), Some(&token), json!({"namespace": "a"})).await;
    let expected = json!({
        "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        "incomplete": false,
    });
    assert_eq!(rules, expected);
}

#[tokio::test(start_paused = true)]
async fn access_is_reviewed_as_it_is_granted() {
    let server = Server::start(|server| server.authorizer(Arc::new(Named)).authenticator(Arc::new(ByName))).await;
    let reviews = format!("{ACCESS}/subjectaccessreviews");
    let of = async |user: &str, groups: Value, attributes: Value| {
        let mut spec = json!({"user": user, "groups": groups});
        spec.as_object_mut().unwrap().extend(attributes.as_object().unwrap().clone());
        let (code, answer) = server.send("POST", &reviews, Some("system"), json!({ "spec": spec })).await;
        (code, answer)
    };
    // Who may ask about others is a question of its own.
    let (code, answer) = of("jane", json!([]), json!({"resourceAttributes": map("one", "get")})).await;
    assert_eq!((code, &answer["reason"]), (403, &json!("Forbidden")));

    let server = Server::start(|server| server.authorizer(Arc::new(Named))).await;
    let of = async |user: &str, groups: Value, attributes: Value| {
        let mut spec = json!({"user": user, "groups": groups});
        spec.as_object_mut().unwrap().extend(attributes.as_object().unwrap().clone());
        server.ask(&reviews, None, spec).await
    };
    let resource = |name: &str, verb: &str| json!({"resourceAttributes": map(name, verb)});
    let yes = json!({"allowed": true});
    assert_eq!(of("jane", json!([]), resource("one", "get")).await, json!({"allowed": true, "reason": "she may"}));
    assert_eq!(of("jane", json!([]), resource("one", "delete")).await, json!({"allowed": false}));
    assert_eq!(of("jane", json!([]), resource("two", "get")).await, json!({"allowed": false}));
    let metrics = json!({"nonResourceAttributes": {"path": "/metrics", "verb": "get"}});
    assert_eq!(of("jane", json!([]), metrics).await, yes);
    let never = json!({"allowed": false, "denied": true, "reason": "he never may"});
    assert_eq!(of("joe", json!([]), resource("one", "get")).await, never);
    let error = json!({"allowed": false, "evaluationError": "who?"});
    assert_eq!(of("jim", json!([]), resource("one", "get")).await, error);
    assert_eq!(of("john", json!(["friends"]), resource("two", "delete")).await, yes);
    assert_eq!(of("joe", json!(["system:masters"]), resource("two", "delete")).await, yes, "whatever is said of him");

    let local = json!({"user": "jane", "resourceAttributes": map("one", "get")});
    let path = "/apis/authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews";
    assert_eq!(server.ask(path, None, local).await["allowed"], true);
}

#[tokio::test(start_paused = true)]
async fn requests_are_refused_that_the_authorizer_does_not_allow() {
    let server = Server::start(|server| server.authorizer(Arc::new(Named)).authenticator(Arc::new(ByName))).await;
    let one = format!("{MAPS}/one");
    let (code, _) = server.send("GET", &one, Some("jane"), Value::Null).await;
    assert_eq!(code, 404, "she may look, but there is nothing");
    let (code, answer) = server.send("DELETE", &one, Some("jane"), Value::Null).await;
    let words = r#"configmaps "one" is forbidden: User "jane" cannot delete resource "configmaps" in API group "" in the namespace "default""#;
    assert_eq!((code, &answer["message"]), (403, &json!(words)));
    assert_eq!(answer["details"], json!({"name": "one", "kind": "configmaps"}));
    let (code, answer) = server.send("GET", MAPS, Some("joe"), Value::Null).await;
    let words = r#"configmaps is forbidden: User "joe" cannot list resource "configmaps" in API group "" in the namespace "default": he never may"#;
    assert_eq!((code, &answer["message"]), (403, &json!(words)));
    let (_, answer) = server.send("GET", "/apis/apps/v1/deployments?watch=true", Some("jane"), Value::Null).await;
    let words = r#"deployments.apps is forbidden: User "jane" cannot watch resource "deployments" in API group "apps" at the cluster scope"#;
    assert_eq!(answer["message"], words);
    let (_, answer) = server.send("GET", "/api/v1/namespaces/default/pods/p/log", Some("jane"), Value::Null).await;
    let words = r#"pods "p" is forbidden: User "jane" cannot get resource "pods/log" in API group "" in the namespace "default""#;
    assert_eq!(answer["message"], words);
    let (code, _) = server.send("GET", MAPS, Some("jim"), Value::Null).await;
    assert_eq!(code, 500, "nobody knows whether he may");
    let (code, _) = server.send("GET", MAPS, Some("bad"), Value::Null).await;
    assert_eq!(code, 401);
    let (code, _) = server.send("GET", "/apis/apps/v1", Some("joe"), Value::Null).await;
    assert_eq!(code, 200, "discovery is open to all");
}

/// Allows everything, and cannot list it.
struct Unlisted;

#[async_trait]
impl Authorizer for Unlisted {
    async fn authorize(&self, _: &Attributes) -> Verdict {
        Verdict::allow("")
    }
}

#[tokio::test(start_paused = true)]
async fn rules_are_those_of_who_asks() {
    let reviews = format!("{ACCESS}/selfsubjectrulesreviews");
    let server = Server::start(|server| server.authorizer(Arc::new(Named)).authenticator(Arc::new(ByName))).await;
    let (code, answer) = server.send("POST", &reviews, Some("jane"), json!({"spec": {"namespace": "a"}})).await;
    let rule = json!({"verbs": ["get"], "resourceNames": ["jane-in-a"]});
    let status = json!({"resourceRules": [rule], "nonResourceRules": [], "incomplete": false});
    assert_eq!((code, &answer["status"], &answer["spec"]), (201, &status, &json!({})));
    let (code, _) = server.send("POST", &reviews, Some("joe"), json!({"spec": {"namespace": "a"}})).await;
    assert_eq!(code, 403);

    let server = Server::start(|server| server.authorizer(Arc::new(Unlisted)).authenticator(Arc::new(ByName))).await;
    let rules = server.ask(&reviews, Some("jane"), json!({"namespace": "a"})).await;
    assert_eq!(rules["incomplete"], true);
    assert_eq!(rules["evaluationError"], "the authorizer does not support user rule resolution");
    assert_eq!(server.refused(&reviews, json!({"spec": {}})).await, (400, "no namespace on request".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn tokens_of_service_accounts_are_known_until_they_end() {
    let server = Server::start(|server| server).await;
    let token = server.token(json!({})).await;
    let status = server.ask(TOKENS, None, json!({ "token": token })).await;
    assert_eq!((&status["authenticated"], &status["audiences"]), (&json!(true), &json!([ISSUER])));
    assert_eq!(status["user"]["username"], "system:serviceaccount:default:robot");
    let groups = json!(["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"]);
    assert_eq!(status["user"]["groups"], groups);
    assert!(status["user"]["uid"].is_string());

    let no = |why: &str| json!({"user": {}, "error": why});
    let forged = format!("{}x", &token[..token.len() - 1]);
    let refused = server.ask(TOKENS, None, json!({ "token": forged })).await;
    assert_eq!(refused, no("[invalid bearer token, the signature is not valid]"));
    // The server takes everybody for its administrator; that is no reason to believe what they hold.
    assert_eq!(server.ask(TOKENS, None, json!({"token": "garbage"})).await, no("invalid bearer token"));
    let other = server.ask(TOKENS, None, json!({"token": token, "audiences": ["vault"]})).await;
    let why = format!(
        r#"[invalid bearer token, token audiences ["{ISSUER}"] is invalid for the target audiences ["vault"]]"#
    );
    assert_eq!(other, no(&why));
    let vaults = server.token(json!({"audiences": ["vault", "other"]})).await;
    let spec = json!({"token": vaults, "audiences": ["vault", "third"]});
    assert_eq!(server.ask(TOKENS, None, spec).await["audiences"], json!(["vault"]));
    assert_eq!(server.ask(TOKENS, None, json!({ "token": vaults })).await.get("authenticated"), None);

    tokio::time::sleep(Duration::from_secs(3600)).await;
    let late = server.ask(TOKENS, None, json!({ "token": token })).await;
    assert_eq!(late, no("[invalid bearer token, service account token has expired]"));
    let token = server.token(json!({})).await;
    let account = "/api/v1/namespaces/default/serviceaccounts/robot";
    assert_eq!(server.send("DELETE", account, None, json!({})).await.0, 200);
    let gone = server.ask(TOKENS, None, json!({ "token": token })).await;
    assert_eq!(gone, no("[invalid bearer token, service account token has been invalidated]"));
    let empty = server.refused(TOKENS, json!({"spec": {}})).await;
    assert_eq!(empty, (400, "token is required for TokenReview in authentication".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn other_tokens_are_whose_the_authenticator_says() {
    let server = Server::start(|server| server.authenticator(Arc::new(ByName))).await;
    let jane = server.ask(TOKENS, None, json!({"token": "jane"})).await;
    assert_eq!(jane, json!({"authenticated": true, "user": {"username": "jane"}, "audiences": [ISSUER]}));
    for spec in [
        json!({"token": "bad"}),
        json!({"token": "anonymous"}),
        json!({"token": "two\nlines"}),
        json!({"token": "jane", "audiences": ["vault"]}),
    ] {
        let status = server.ask(TOKENS, None, spec.clone()).await;
        assert_eq!(status, json!({"user": {}, "error": "invalid bearer token"}), "{spec}");
    }
    let both = json!({"token": "jane", "audiences": ["vault", ISSUER]});
    assert_eq!(server.ask(TOKENS, None, both).await["audiences"], json!([ISSUER]));
}

#[tokio::test(start_paused = true)]
async fn questions_that_make_no_sense_are_invalid() {
    let server = Server::start(|server| server).await;
    let reviews = format!("{ACCESS}/subjectaccessreviews");
    let invalid = async |path: &str, body: Value| {
        let (code, message) = server.refused(path, body).await;
        assert_eq!(code, 422, "{message}");
        message.strip_prefix(".authorization.k8s.io \"\" is invalid: ").unwrap_or(&message).to_owned()
    };
    assert_eq!(
        invalid(&reviews, json!({"spec": {}})).await,
        r#"[spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified, spec.user: Invalid value: "": at least one of user or group must be specified]"#
    );
    let both = json!({"user": "a", "resourceAttributes": {}, "nonResourceAttributes": {"path": "/"}});
    assert_eq!(
        invalid(&reviews, json!({ "spec": both })).await,
        r#"spec.nonResourceAttributes: Invalid value: {"path":"/"}: cannot be specified in combination with resourceAttributes"#
    );
    let named = json!({"metadata": {"name": "x"}, "spec": {"user": "a", "resourceAttributes": {}}});
    assert_eq!(invalid(&reviews, named).await, r#"metadata: Invalid value: {"name":"x"}: must be empty"#);
    let local = "/apis/authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews";
    let elsewhere = json!({"spec": {"user": "a", "resourceAttributes": {"namespace": "other"}}});
    assert_eq!(
        invalid(local, elsewhere).await,
        r#"spec.resourceAttributes.namespace: Invalid value: "other": must match metadata.namespace"#
    );
    let nowhere = json!({"spec": {"user": "a", "nonResourceAttributes": {}}});
    assert_eq!(
        invalid(local, nowhere).await,
        "spec.nonResourceAttributes: Invalid value: {}: disallowed on this kind of request"
    );
    let selector = json!({"resourceAttributes": {"fieldSelector": {}, "labelSelector": {
        "rawSelector": "a=b", "requirements": [{"key": "a", "operator": "Exists"}]}}});
    assert_eq!(
        invalid(&format!("{ACCESS}/selfsubjectaccessreviews"), json!({ "spec": selector })).await,
        r#"[spec.resourceAttributes.fieldSelector.requirements: Required value: when spec.resourceAttributes.fieldSelector is specified, requirements or rawSelector is required, spec.resourceAttributes.labelSelector.rawSelector: Invalid value: "a=b": may not specified at the same time as requirements]"#
    );
}

#[tokio::test(start_paused = true)]
async fn questions_can_be_asked_and_nothing_else() {
    let server = Server::start(|server| server).await;
    let reviews = format!("{ACCESS}/subjectaccessreviews");
    for (method, path, code) in [
        ("GET", reviews.clone(), 405),
        ("DELETE", reviews.clone(), 405),
        ("PUT", reviews.clone(), 405),
        ("GET", format!("{reviews}/name"), 404),
        ("POST", format!("{ACCESS}/localsubjectaccessreviews"), 405),
        ("GET", format!("{ACCESS}/namespaces/default/localsubjectaccessreviews"), 405),
    ] {
        assert_eq!(server.send(method, &path, None, json!({})).await.0, code, "{method} {path}");
    }
    let (_, list) = server.send("GET", ACCESS, None, Value::Null).await;
    let verbs: Vec<&Value> = list["resources"].as_array().unwrap().iter().map(|entry| &entry["verbs"]).collect();
    assert_eq!(verbs, [&json!(["create"]); 4]);
    let (_, document) = server.send("GET", "/openapi/v3/apis/authorization.k8s.io/v1", None, Value::Null).await;
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    assert_eq!(paths.len(), 4, "{paths:?}");
    assert!(document["paths"][&reviews]["post"].is_object() && document["paths"][&reviews]["get"].is_null());
    // Nothing of them is kept.
    let spec = json!({"user": "a", "resourceAttributes": map("one", "get")});
    let (_, before) = server.send("GET", MAPS, None, Value::Null).await;
    server.ask(&reviews, None, spec).await;
    let (_, after) = server.send("GET", MAPS, None, Value::Null).await;
    assert_eq!(before["metadata"]["resourceVersion"], after["metadata"]["resourceVersion"]);
}
