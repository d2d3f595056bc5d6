//! TLS, users, and what they may do.

use std::{process::Command, time::Duration};

use orchestra_core::store::{Event, KeyRange, Precondition, ReadAt, Store, StoreError, Transaction, Watcher};
use orchestra_store::{
    EtcdStore,
    etcd::{EtcdStoreOptions, EtcdTls, EtcdUser},
};

use crate::{
    act::{next, put, serves, through, until_error},
    proxy::{Line, Proxy},
    server::{Directory, Etcd, connect},
};

/// An authority, and what it has signed.
struct Certificates {
    directory: Directory,
}

impl Certificates {
    fn new() -> Self {
        let certificates = Self { directory: Directory::new() };
        certificates
            .openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=authority");
        certificates
    }

    /// `name.crt` and `name.key`, good for a server at these addresses, and for a client.
    fn sign(&self, name: &str, addresses: &str) {
        let extensions = format!("subjectAltName={addresses}\nextendedKeyUsage=serverAuth,clientAuth\n");
        std::fs::write(self.directory.path().join(format!("{name}.ext")), extensions).unwrap();
        self.openssl(&format!("req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"));
        let signed = format!("-in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out {name}.crt");
        self.openssl(&format!("x509 -req {signed} -days 2 -extfile {name}.ext"));
    }

    fn openssl(&self, arguments: &str) {
        let mut command = Command::new("openssl");
        command.current_dir(self.directory.path()).args(arguments.split(' '));
        let output = command.output().expect("openssl must be installed");
        assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn path(&self, file: &str) -> String {
        self.directory.path().join(file).display().to_string()
    }

    fn pem(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.path(file)).unwrap()
    }
}

fn with_tls(etcd: &Etcd, tls: EtcdTls) -> EtcdStoreOptions {
    EtcdStoreOptions { tls: Some(tls), ..etcd.options() }
}

async fn refused(options: EtcdStoreOptions) -> StoreError {
    match EtcdStore::connect(options).await {
        Ok(_) => panic!("etcd takes the client"),
        Err(error) => error,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_asked_for_and_shown() {
    let ours = Certificates::new();
    ours.sign("server", "IP:127.0.0.1");
    ours.sign("client", "DNS:client");
    let etcd = Etcd::start_with(&[
        &format!("--cert-file={}", ours.path("server.crt")),
        &format!("--key-file={}", ours.path("server.key")),
        &format!("--trusted-ca-file={}", ours.path("ca.crt")),
        "--client-cert-auth",
    ])
    .await;
    let identity = Some((ours.pem("client.crt"), ours.pem("client.key")));
    let trusted = EtcdTls { authority: ours.pem("ca.crt"), identity, domain: None };
    let store = connect(with_tls(&etcd, trusted.clone())).await;
    let start = store.revision().await.unwrap();
    let mut watch = store.watch(KeyRange::prefix("/"), start).await.unwrap();
    let revision = put(&store, "/a").await.unwrap();
    assert_eq!(next(&mut watch).await.revision(), revision);

    let anonymous = refused(with_tls(&etcd, EtcdTls { identity: None, ..trusted.clone() })).await;
    assert!(matches!(anonymous, StoreError::Unavailable(_)), "{anonymous:?}");
    let other = Certificates::new();
    let untrusted = EtcdTls { authority: other.pem("ca.crt"), ..trusted.clone() };
    let StoreError::Unavailable(why) = refused(with_tls(&etcd, untrusted)).await else { panic!("another error") };
    assert!(why.contains("certificate"), "{why}");
    let StoreError::InvalidArgument(why) = refused(with_tls(&etcd, EtcdTls::default())).await else {
        panic!("another error")
    };
    assert!(why.contains("authority"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_name_in_the_certificate_may_be_given() {
    let ours = Certificates::new();
    ours.sign("server", "DNS:etcd.example");
    let files = [format!("--cert-file={}", ours.path("server.crt")), format!("--key-file={}", ours.path("server.key"))];
    let etcd = Etcd::start_with(&[&files[0], &files[1]]).await;
    let tls = EtcdTls { authority: ours.pem("ca.crt"), identity: None, domain: Some("etcd.example".to_owned()) };
    let store = connect(with_tls(&etcd, tls.clone())).await;
    put(&store, "/a").await.unwrap();
    let StoreError::Unavailable(why) = refused(with_tls(&etcd, EtcdTls { domain: None, ..tls })).await else {
        panic!("another error")
    };
    assert!(why.contains("certificate"), "{why}");
}

fn user(etcd: &Etcd, name: &str, password: &str) -> EtcdStoreOptions {
    let user = EtcdUser { name: name.to_owned(), password: password.to_owned() };
    EtcdStoreOptions { user: Some(user), ..etcd.options() }
}

/// An etcd with the users `root`, and `limited` to `/registry/`.
async fn with_users() -> Etcd {
    let etcd = Etcd::start_with(&["--auth-token-ttl=2", "--bcrypt-cost=4"]).await;
    etcd.store().await;
    for command in [
        "user add root:secret",
        "user grant-role root root",
        "role add registry",
        "role grant-permission --prefix registry readwrite /registry/",
        "user add limited:word",
        "user grant-role limited registry",
        "auth enable",
    ] {
        etcd.ctl(&command.split(' ').collect::<Vec<_>>());
    }
    etcd
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_are_let_in_with_their_password_alone() {
    let etcd = with_users().await;
    let store = connect(user(&etcd, "root", "secret")).await;
    let mut watch = store.watch(KeyRange::prefix("/"), store.revision().await.unwrap()).await.unwrap();
    let revision = put(&store, "/a").await.unwrap();
    assert_eq!(next(&mut watch).await.revision(), revision);
    for options in [user(&etcd, "root", "wrong"), user(&etcd, "nobody", "secret"), etcd.options()] {
        let error = refused(options).await;
        assert!(matches!(error, StoreError::Unauthorized(_)), "{error:?}");
    }
}

/// etcd forgets the tokens of its users when it is started again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_are_no_longer_good_are_renewed() {
    let mut etcd = with_users().await;
    let store = connect(user(&etcd, "root", "secret")).await;
    let mut watch = store.watch(KeyRange::prefix("/"), store.revision().await.unwrap()).await.unwrap();
    for _ in 0..2 {
        etcd.restart().await;
        serves(&store).await;
        let revision = put(&store, "/a").await.unwrap();
        assert_eq!(next(&mut watch).await.revision(), revision);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_limited_to_a_prefix_has_a_store_of_it() {
    let etcd = with_users().await;
    let error = refused(user(&etcd, "limited", "word")).await;
    assert!(matches!(error, StoreError::Unauthorized(_)), "{error:?}");

    let options = EtcdStoreOptions { prefix: "/registry/".to_owned(), ..user(&etcd, "limited", "word") };
    let store = connect(options.clone()).await;
    let root = connect(user(&etcd, "root", "secret")).await;
    let pods = KeyRange::prefix("/registry/pods/");
    let start = store.revision().await.unwrap();
    let mut watch = store.watch(pods.clone(), start).await.unwrap();
    // Of what happens elsewhere this store hears nothing.
    put(&root, "/elsewhere").await.unwrap();
    let revision = put(&store, "/registry/pods/a").await.unwrap();
    assert_eq!(next(&mut watch).await.revision(), revision);
    put(&root, "/elsewhere").await.unwrap();
    let now = store.revision().await.unwrap();
    let mut from_now = store.watch(pods.clone(), now).await.unwrap();
    let last = put(&store, "/registry/pods/b").await.unwrap();
    assert_eq!(next(&mut from_now).await.revision(), last);
    assert_eq!(next(&mut watch).await.revision(), last);

    let late = connect(options).await;
    let mut past = late.watch(pods, start).await.unwrap();
    let seen: Vec<_> = through(&mut past, last).await.iter().map(Event::revision).collect();
    assert_eq!(seen, [revision, last]);

    let outside = store.watch(KeyRange::prefix("/"), now).await.err();
    assert!(matches!(outside, Some(StoreError::InvalidArgument(_))), "{outside:?}");
    let outside = store.commit(Transaction::new().put("/a", "1", Precondition::None)).await;
    assert!(matches!(outside, Err(StoreError::Unauthorized(_))), "{outside:?}");
    let outside = store.get("/a", ReadAt::Latest).await;
    assert!(matches!(outside, Err(StoreError::Unauthorized(_))), "{outside:?}");
}

/// The key by which API servers take turns in compacting is outside of what the user may write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_limited_to_a_prefix_leaves_compaction_to_others() {
    let etcd = with_users().await;
    let prefix = "/registry/".to_owned();
    let often = Some(Duration::from_millis(1));
    let options = EtcdStoreOptions { prefix, compaction_interval: often, ..user(&etcd, "limited", "word") };
    let store = connect(options).await;
    for _ in 0..200 {
        store.get("/registry/a", ReadAt::Latest).await.unwrap();
    }
    // A transaction of the store's own, which is counted.
    store.commit(Transaction::new().put("/registry/a", "1", Precondition::Absent)).await.unwrap();
    let handled = |code| etcd.metric("grpc_server_handled_total", &format!("grpc_code=\"{code}\",grpc_method=\"Txn\""));
    assert_eq!((handled("OK"), handled("PermissionDenied")), (1.0, 0.0));
}

/// The user may no longer see what it watches; etcd says so when the watch is begun again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_end_where_etcd_goes_on_refusing_them() {
    let etcd = with_users().await;
    let proxy = Proxy::before(etcd.address()).await;
    let limited = EtcdStoreOptions { prefix: "/registry/".to_owned(), ..user(&etcd, "limited", "word") };
    let store = connect(EtcdStoreOptions { endpoints: vec![proxy.url()], ..limited }).await;
    let range = KeyRange::prefix("/registry/");
    let mut watch = store.watch(range.clone(), store.revision().await.unwrap()).await.unwrap();
    let as_root = |command: &str| etcd.ctl(&format!("--user=root:secret {command}").split(' ').collect::<Vec<_>>());
    as_root("user revoke-role limited registry");
    proxy.set(Line::Cut);
    while !matches!(store.revision().await, Err(StoreError::Unavailable(_))) {}
    proxy.set(Line::Whole);
    until_error(&mut watch).await;
    let refused = store.get("/registry/a", ReadAt::Latest).await;
    assert!(matches!(refused, Err(StoreError::Unauthorized(_))), "{refused:?}");

    as_root("user grant-role limited registry");
    let revision = serves(&store).await;
    let mut anew = store.watch(range, revision).await.unwrap();
    let last = put(&store, "/registry/a").await.unwrap();
    assert_eq!(next(&mut anew).await.revision(), last);
}

#[tokio::test]
async fn options_that_make_no_sense_are_refused_and_extreme_ones_are_taken() {
    let etcd = Etcd::start().await;
    etcd.store().await;
    let error = refused(EtcdStoreOptions { compaction_interval: Some(Duration::ZERO), ..etcd.options() }).await;
    assert!(matches!(error, StoreError::InvalidArgument(_)), "{error:?}");
    let patient = EtcdStoreOptions { request_timeout: Duration::MAX, ..etcd.options() };
    let store = connect(EtcdStoreOptions { compaction_interval: Some(Duration::MAX), ..patient }).await;
    let mut watch = store.watch(KeyRange::prefix("/"), store.revision().await.unwrap()).await.unwrap();
    let brief = Transaction::new().put_with_ttl("/a", "1", Precondition::None, Duration::from_secs(60));
    let revision = store.commit(brief).await.unwrap();
    assert_eq!(next(&mut watch).await.revision(), revision);
}
