//! Who one is, and what one may do.

use crate::harness::{Kubectl, holds};

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
