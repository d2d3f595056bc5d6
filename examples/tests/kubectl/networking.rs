//! Ingresses, their classes, and policies of the network.

use crate::harness::{Kubectl, holds};

const CLASS: &str = "apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: outer, annotations: {ingressclass.kubernetes.io/is-default-class: 'true'}}
spec: {controller: example.org/outer}
";

const POLICY: &str = "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress: [{from: [{podSelector: {}}], ports: [{port: 80}]}]
";

#[tokio::test(flavor = "multi_thread")]
async fn ingresses_lead_to_services_and_have_the_default_class() {
    let Some(kubectl) = Kubectl::start().await else { return };
    kubectl.create(CLASS).await;
    let said = kubectl.run("create ingress web --rule=a.example.org/*=web:80,tls=web-tls").await;
    assert_eq!(said, "ingress.networking.k8s.io/web created\n");
    let table = kubectl.run("get ing web").await;
    assert!(
        holds(&table, &["CLASS", "HOSTS", "ADDRESS", "PORTS", "web", "outer", "a.example.org", "80, 443"]),
        "{table}"
    );
    let described = kubectl.run("describe ingress web").await;
    assert!(
        holds(&described, &["Ingress Class:", "outer", "web-tls terminates a.example.org", "/", "web:80"]),
        "{described}"
    );
    let refused = kubectl.fails("create ingress bad --rule=*.*/=web:80").await;
    assert!(refused.contains("spec.rules[0].host: Invalid value"), "{refused}");
    assert!(holds(&kubectl.run("get ingressclasses").await, &["outer", "example.org/outer", "<none>"]));
    kubectl.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_say_which_pods_they_are_about() {
    let Some(kubectl) = Kubectl::start().await else { return };
    kubectl.create(POLICY).await;
    assert!(holds(&kubectl.run("get netpol").await, &["POD-SELECTOR", "web", "app=web"]));
    let described = kubectl.run("describe networkpolicy web").await;
    assert!(holds(&described, &["PodSelector:", "app=web", "To Port: 80/TCP", "Policy Types: Ingress"]), "{described}");
    let changed = kubectl.manifest(&POLICY.replace("port: 80", "port: 80, endPort: 70"));
    let refused = kubectl.fails(&format!("apply -f {changed}")).await;
    let wrong = "spec.ingress[0].ports[0].endPort: Invalid value: 80: must be greater than or equal to `port`";
    assert!(refused.contains(wrong), "{refused}");
    kubectl.end().await;
}
