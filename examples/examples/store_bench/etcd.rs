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

    use etcd_client::{Client, Compare, CompareOp, KvClient, Txn, TxnOp};
    use orchestra_core::store::Precondition;
    use orchestra_examples::etcd::Etcd;
    use orchestra_store::etcd::{EtcdStore, EtcdStoreOptions};

    use super::*;
    use crate::{
        MANY, cached, growth,
        workload::{self, Workload},
    };

    /// etcd keeps history on its disk, and a million objects take it minutes.
    const ETCD_MOST: usize = 100_000;
    /// With how many objects the bare client is compared.
    const OBJECTS: usize = 1_000;

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

    /// Commits, and what the bare client does of the same: puts, and puts of what must exist, which take a transaction.
    async fn bare(figures: &mut Figures, folder: &Folder) -> Result<()> {
        let etcd = start(folder, "etcd-bare").await?;
        let workload = Workload::fill(store(&etcd).await?, OBJECTS).await?;
        let client = Client::connect([etcd.url()], None).await?;
        let put = beside(&workload, Precondition::None, &client, |mut client, key| async move {
            client.put(key, workload::value(), None).await.map(drop)
        });
        figures.add("commits, of what the bare etcd-client puts", "etcd", put.await?, ">= 90 %");
        let txn = beside(&workload, Precondition::Exists, &client, |mut client, key| async move {
            let exists = Compare::version(&*key, CompareOp::Greater, 0);
            let (put, get) = (TxnOp::put(&*key, workload::value(), None), TxnOp::get(&*key, None));
            client.txn(Txn::new().when([exists]).and_then([put]).or_else([get])).await.map(drop)
        });
        figures.add("commits with a precondition, of the bare etcd-client's", "etcd", txn.await?, ">= 90 %");
        Ok(())
    }

    /// Commits and what `bare` does, in turns on one etcd: medians of rates that go up and down with the disk.
    async fn beside<F>(
        workload: &Workload,
        precondition: Precondition,
        client: &Client,
        bare: impl Fn(KvClient, String) -> F + Clone + Send + 'static,
    ) -> Result<String>
    where
        F: Future<Output = std::result::Result<(), etcd_client::Error>> + Send + 'static,
    {
        const ROUNDS: usize = 5;
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let (client, bare) = (client.kv_client(), bare.clone());
            let (calls, alone) = workload::callers(move |generator| {
                let call = bare(client.clone(), workload::key(generator.below(OBJECTS as u64)));
                async move { Ok(call.await?) }
            })
            .await?;
            let (commits, ours) = workload.commits_if(precondition).await?;
            rounds.push((calls as f64 / alone.as_secs_f64(), commits as f64 / ours.as_secs_f64()));
        }
        rounds.sort_by(|a, b| (a.1 / a.0).total_cmp(&(b.1 / b.0)));
        let (calls, commits) = rounds[ROUNDS / 2];
        Ok(format!("{commits:.0}/s of {calls:.0}/s: {:.0} %", 100.0 * commits / calls))
    }
}
