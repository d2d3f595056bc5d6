//! How the API server is found: it is behind the Service `kubernetes`, whose endpoints it writes itself
//! (`pkg/controlplane/reconcilers`, the lease endpoint reconciler).
//!
//! Each of the servers over one store keeps a key there that expires when it is not renewed. Those that have one are the endpoints.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use k8s_openapi::api::{
    core::v1::{Endpoints, Service},
    discovery::v1::EndpointSlice,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use orchestra_core::store::{KeyRange, ListOptions, Precondition, Store, Transaction};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

const NAME: &str = "kubernetes";
const LEASES: &str = "/registry/masterleases/";
const INTERVAL: Duration = Duration::from_secs(10);
/// A server that does not renew its key is no endpoint after this time.
const TIME_TO_LIVE: Duration = Duration::from_secs(15);

/// An error of the store, or of a write through the API.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Keeps the server at `address` among the endpoints until `stop`, and then takes it out.
pub(super) async fn run(store: &dyn Store, client: Client, address: SocketAddr, stop: CancellationToken) {
    let Some(ip) = reachable(address.ip()) else {
        debug!(%address, "containers cannot reach the API server, so that it is no endpoint of the Service kubernetes");
        return;
    };
    let server = Server { store, client, ip, port: address.port() };
    loop {
        if let Err(error) = server.renew().await {
            warn!(%error, "the endpoints of the Service kubernetes were not written");
        }
        if stop.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_none() {
            break;
        }
    }
    if let Err(error) = server.leave().await {
        warn!(%error, "the API server stays an endpoint of the Service kubernetes");
    }
}

/// The address by which others reach a server that listens at this one; none if only this machine does.
fn reachable(listening: IpAddr) -> Option<IpAddr> {
    let ip = if listening.is_unspecified() { outward(listening)? } else { listening };
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}

/// The address from which this machine speaks to others. Nothing is sent.
fn outward(listening: IpAddr) -> Option<IpAddr> {
    // Addresses of documentation, which only the routing table is asked about.
    let (any, other): (IpAddr, IpAddr) = match listening {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into()),
        IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into()),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((other, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

struct Server<'a> {
    store: &'a dyn Store,
    client: Client,
    ip: IpAddr,
    port: u16,
}

impl Server<'_> {
    async fn renew(&self) -> Result<(), Failure> {
        let value = self.port.to_string();
        let lease = Transaction::new().put_with_ttl(self.lease(), value, Precondition::None, TIME_TO_LIVE);
        self.store.commit(lease).await?;
        self.write_port().await?;
        self.write_endpoints().await
    }

    async fn leave(&self) -> Result<(), Failure> {
        self.store.commit(Transaction::new().delete(self.lease(), Precondition::None)).await?;
        self.write_endpoints().await
    }

    fn lease(&self) -> String {
        format!("{LEASES}{}", self.ip)
    }

    /// The servers of the same family that are there.
    async fn servers(&self) -> Result<BTreeSet<IpAddr>, Failure> {
        let leases = self.store.list(&KeyRange::prefix(LEASES), ListOptions::default()).await?.entries;
        let ips = leases.iter().filter_map(|lease| lease.key.strip_prefix(LEASES)?.parse::<IpAddr>().ok());
        Ok(ips.filter(|ip| ip.is_ipv4() == self.ip.is_ipv4()).collect())
    }

    /// The Service leads to the port at which the server is.
    async fn write_port(&self) -> Result<(), Failure> {
        let services: Api<Service> = Api::namespaced(self.client.clone(), "default");
        let port = json!({"name": "https", "port": 443, "protocol": "TCP", "targetPort": self.port});
        let patch = Patch::Merge(json!({"spec": {"ports": [port]}}));
        services.patch(NAME, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    async fn write_endpoints(&self) -> Result<(), Failure> {
        let ips = self.servers().await?;
        let addresses: Vec<_> = ips.iter().map(|ip| json!({"ip": ip})).collect();
        let port = json!({"name": "https", "port": self.port, "protocol": "TCP"});
        let subsets = if ips.is_empty() { json!(null) } else { json!([{"addresses": addresses, "ports": [port]}]) };
        let endpoints = json!({
            "apiVersion": "v1", "kind": "Endpoints",
            // The slices below are not to be made a second time of it.
            "metadata": {"name": NAME, "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
            "subsets": subsets,
        });
        put::<Endpoints>(&self.client, endpoints).await?;
        let ready = |ip: &IpAddr| json!({"addresses": [ip], "conditions": {"ready": true}});
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": NAME, "labels": {"kubernetes.io/service-name": NAME}},
            "addressType": if self.ip.is_ipv4() { "IPv4" } else { "IPv6" },
            "endpoints": ips.iter().map(ready).collect::<Vec<_>>(),
            "ports": [port],
        });
        put::<EndpointSlice>(&self.client, slice).await
    }
}

/// Writes an object, whether or not there is one.
async fn put<K>(client: &Client, object: serde_json::Value) -> Result<(), Failure>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + serde::de::DeserializeOwned
        + serde::Serialize
        + Clone
        + std::fmt::Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), "default");
    match api.patch(NAME, &PatchParams::default(), &Patch::Merge(&object)).await {
        Err(kube::Error::Api(status)) if status.code == 404 => {
            api.create(&PostParams::default(), &serde_json::from_str(&object.to_string())?).await?;
        }
        other => drop(other?),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_device_leads_nobody_here() {
        assert_eq!(reachable(IpAddr::from([127, 0, 0, 1])), None);
        assert_eq!(reachable(IpAddr::from([192, 0, 2, 7])), Some(IpAddr::from([192, 0, 2, 7])));
        assert!(reachable(Ipv4Addr::UNSPECIFIED.into()).is_none_or(|ip| !ip.is_unspecified() && !ip.is_loopback()));
    }
}
