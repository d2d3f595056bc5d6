//! etcd: one that is started for this, and what its bare client does.

use crate::{Result, disk::Folder, figures::Figures};

#[cfg(not(feature = "etcd"))]
pub(crate) async fn measure(_: &mut Figures, _: &[usize], _: &Folder) -> Result<()> {
    eprintln!("etcd is left out: build with --features etcd");
    Ok(())
}

#[cfg(feature = "etcd")]
pub(crate) use started::measure;

#[cfg(feature = "etcd")]
mod started {
    use std::sync::Arc;

    use etcd_client::Client;
    use orchestra_examples::etcd::Etcd;
    use orchestra_store::etcd::{EtcdStore, EtcdStoreOptions};

    use super::*;
    use crate::{MANY, cached, figures::per_second, growth, workload};

    /// etcd keeps history on its disk, and a million objects take it minutes.
    const ETCD_MOST: usize = 100_000;

    pub(crate) async fn measure(figures: &mut Figures, counts: &[usize], folder: &Folder) -> Result<()> {
        for count in counts.iter().filter(|count| **count <= ETCD_MOST) {
            let etcd = start(folder, &format!("etcd-{count}")).await?;
            growth(figures, "etcd", *count, store(&etcd).await?).await?;
        }
        let etcd = start(folder, "etcd-bare").await?;
        let client = Client::connect([etcd.url()], None).await?;
        let put = move |generator: &orchestra_core::random::Generator| {
            let (mut client, key) = (client.clone(), workload::key(generator.below(1_000)));
            async move {
                client.put(key, workload::value(), None).await?;
                Ok(())
            }
        };
        let (puts, took) = workload::callers(put).await?;
        figures.add("puts of the bare etcd-client", "etcd", per_second(puts, took), "commits >= 90 %");
        drop(etcd);
        let etcd = start(folder, "etcd-cached").await?;
        cached::measure(figures, "etcd", store(&etcd).await?).await?;
        let etcd = start(folder, "etcd-memory").await?;
        cached::memory(figures, "etcd", store(&etcd).await?, MANY).await
    }

    /// With as much room as a million objects with their history take.
    async fn start(folder: &Folder, name: &str) -> Result<Etcd> {
        Ok(Etcd::start(&folder.path(name), &["--quota-backend-bytes", "8589934592"]).await?)
    }

    async fn store(etcd: &Etcd) -> Result<Arc<EtcdStore>> {
        Ok(Arc::new(EtcdStore::connect(EtcdStoreOptions::new([etcd.url()])).await?))
    }
}
