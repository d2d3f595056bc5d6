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
    use orchestra_core::random::Generator;
    use orchestra_examples::etcd::Etcd;
    use orchestra_store::etcd::{EtcdStore, EtcdStoreOptions};

    use super::*;
    use crate::{
        MANY, cached, growth,
        workload::{self, Workload},
    };

    /// etcd keeps history on its disk, and a million objects take it minutes.
    const ETCD_MOST: usize = 100_000;

    pub(crate) async fn measure(figures: &mut Figures, counts: &[usize], folder: &Folder) -> Result<()> {
        for count in counts.iter().filter(|count| **count <= ETCD_MOST) {
            let etcd = start(folder, &format!("etcd-{count}")).await?;
            growth(figures, "etcd", *count, store(&etcd).await?).await?;
        }
        bare(figures, folder).await?;
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

    /// Commits, and what the bare client puts, in turns on one etcd: medians of rates that go up and down with the disk.
    async fn bare(figures: &mut Figures, folder: &Folder) -> Result<()> {
        const OBJECTS: usize = 1_000;
        const ROUNDS: usize = 5;
        let etcd = start(folder, "etcd-bare").await?;
        let workload = Workload::fill(store(&etcd).await?, OBJECTS).await?;
        let client = Client::connect([etcd.url()], None).await?;
        let put = move |generator: &Generator| {
            let (mut client, key) = (client.clone(), workload::key(generator.below(OBJECTS as u64)));
            async move {
                client.put(key, workload::value(), None).await?;
                Ok(())
            }
        };
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let ((puts, bare), (commits, ours)) = (workload::callers(put.clone()).await?, workload.commits().await?);
            rounds.push((puts as f64 / bare.as_secs_f64(), commits as f64 / ours.as_secs_f64()));
        }
        rounds.sort_by(|a, b| (a.1 / a.0).total_cmp(&(b.1 / b.0)));
        let (puts, commits) = rounds[ROUNDS / 2];
        let each = format!("{commits:.0}/s of {puts:.0}/s: {:.0} %", 100.0 * commits / puts);
        figures.add("commits, of what the bare etcd-client puts", "etcd", each, ">= 90 %");
        Ok(())
    }
}
