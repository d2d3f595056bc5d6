//! Who one is, and what one may do.

use std::sync::Arc;

use async_trait::async_trait;
use http::{header, request::Parts};
use k8s_openapi::api::authorization::v1::{ResourceRule, SubjectRulesReviewStatus};
use orchestra_runtime::Cluster;
use orchestra_store::apiserver::{
    ApiError,
    authentication::{AlwaysAdmin, Authenticator},
    authorization::{Attributes, Authorizer, Target, Verdict},
    strategy::UserInfo,
};

use crate::harness::{Kubectl, holds};

/// Everybody may list pods, and ask about themselves.
struct PodsOnly;

#[async_trait]
impl Authorizer for PodsOnly {
    async fn authorize(&self, asked: &Attributes) -> Verdict {
        match &asked.target {
            Target::Resource(target) if target.resource == "pods" && asked.verb == "list" => Verdict::allow(""),
            Target::Resource(target) if target.resource.starts_with("selfsubject") => Verdict::allow(""),
            _ => Verdict::no_opinion(""),
        }
    }

    async fn rules(&self, _: &UserInfo, _: &str) -> SubjectRulesReviewStatus {
        let text = |text: &str| Some(vec![text.to_owned()]);
        let rule = ResourceRule {
            verbs: vec!["list".to_owned()],
            api_groups: text(""),
            resources: text("pods"),
            resource_names: None,
        };
        SubjectRulesReviewStatus { resource_rules: vec![rule], ..SubjectRulesReviewStatus::default() }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_may_do_everything() {
    let Some(kubectl) = Kubectl::start().await else { return };
    assert_eq!(kubectl.run("auth can-i create pods").await, "yes\n");
    assert_eq!(kubectl.run("auth can-i get /metrics").await, "yes\n");
    let list = kubectl.run("auth can-i --list").await;
    assert!(
        holds(&list, &["Resources", "Non-Resource URLs", "Resource Names", "Verbs", "*.*", "[]", "[]", "[*]"]),
        "{list}"
    );
    let whoami = kubectl.run("auth whoami").await;
    assert!(
        holds(&whoami, &["ATTRIBUTE", "VALUE", "Username", "system:admin", "Groups", "system:masters"]),
        "{whoami}"
    );
    kubectl.end().await;
}

/// Takes kubectl for jane, as it sends no credentials without TLS, and all else for the cluster's own parts.
struct KubectlIsJane;

impl Authenticator for KubectlIsJane {
    fn authenticate(&self, head: &Parts) -> Result<UserInfo, ApiError> {
        let agent = head.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        if !agent.starts_with("kubectl") {
            return AlwaysAdmin.authenticate(head);
        }
        let groups = vec!["watchers".to_owned(), "system:authenticated".to_owned()];
        Ok(UserInfo { name: "jane".to_owned(), groups, ..UserInfo::default() })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn others_may_do_what_the_authorizer_says() {
    let builder = Cluster::builder()
        .api_server(|server| server.authorizer(Arc::new(PodsOnly)).authenticator(Arc::new(KubectlIsJane)));
    let Some(kubectl) = Kubectl::with(builder).await else { return };
    let whoami = kubectl.run("auth whoami").await;
    assert!(holds(&whoami, &["Username", "jane", "Groups", "[watchers system:authenticated]"]), "{whoami}");
    assert_eq!(kubectl.run("auth can-i list pods").await, "yes\n");
    let (code, said, _) = kubectl.run_with(("LC_ALL", "C"), "auth can-i delete pods", "").await;
    assert_eq!((code, said.as_str()), (Some(1), "no\n"));
    let list = kubectl.run("auth can-i --list").await;
    assert!(holds(&list, &["pods", "[]", "[]", "[list]"]), "{list}");
    assert_eq!(kubectl.run("get pods -o name").await, "");
    let refused = kubectl.fails("get configmaps").await;
    let words = r#"configmaps is forbidden: User "jane" cannot list resource "configmaps" in API group "" in the namespace "default""#;
    assert!(refused.contains(words), "{refused}");
    kubectl.end().await;
}
