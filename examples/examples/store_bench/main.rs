//! Measures the stores and the watch cache over them, and prints one table.
//!
//! ```text
//! cargo run --release --features etcd --example store_bench                       # everything, with an etcd that it starts
//! cargo run --release --example store_bench -- --stores memory,durable --objects 1000,10000
//! ```
//!
//! Values have 1 KiB, and 64 callers work at once.

mod cached;
mod disk;
mod etcd;
mod figures;
mod processors;
mod workload;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Parser;
use mimalloc::MiMalloc;
use orchestra_core::store::Store;
use orchestra_examples::measure::{millis, per_second};
use orchestra_store::{DurableStore, MemoryStore};

use self::{figures::Figures, workload::Workload};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// As in the other programs.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Measures the stores and prints one table.
#[derive(Parser)]
struct Arguments {
    /// Which stores.
    #[arg(long, value_delimiter = ',', default_value = "memory,durable,etcd", value_name = "STORES")]
    stores: Vec<String>,
    /// With how many objects, each number for itself; etcd gets the numbers up to 100000.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000,1000000", value_name = "COUNTS")]
    objects: Vec<usize>,
    /// Where the folders of the durable store and of etcd are made, and removed after; the disk is measured there too.
    #[arg(long, default_value_os_t = std::env::temp_dir(), value_name = "FOLDER")]
    folder: PathBuf,
}

/// With how many objects that are kept what is not measured at each number.
const LISTED: usize = 10_000;
/// With how many objects a durable store is opened again, and the cache's memory is measured.
const MANY: usize = 100_000;

#[tokio::main]
async fn main() -> Result<()> {
    // By the runtime's own threads from the first object on, as in a server.
    tokio::spawn(measure(Arguments::parse())).await?
}

async fn measure(arguments: Arguments) -> Result<()> {
    let folder = disk::Folder::new(&arguments.folder)?;
    let mut figures = Figures::default();
    for store in &arguments.stores {
        match store.as_str() {
            "memory" => memory(&mut figures, &arguments.objects).await?,
            "durable" => durable(&mut figures, &arguments.objects, &folder).await?,
            "etcd" => etcd::measure(&mut figures, &arguments.objects, &folder).await?,
            other => return Err(format!("{other:?} is none of memory, durable, etcd").into()),
        }
    }
    println!("{figures}");
    Ok(())
}

async fn memory(figures: &mut Figures, counts: &[usize]) -> Result<()> {
    for count in counts {
        if let Some(far) = processors::round_trip() {
            let what = format!("the processors, before {count} objects: memory there and back");
            figures.add(&what, "memory", format!("{} ns", far.as_nanos()), "");
        }
        growth(figures, "memory", *count, Arc::new(MemoryStore::default())).await?;
    }
    let workload = Workload::fill(Arc::new(MemoryStore::default()), LISTED).await?;
    let (watchers, delivered, took) = workload.fan_out().await?;
    let what = format!("deliveries to {watchers} watchers");
    figures.add(&what, "memory", per_second(delivered, took), ">= 2,000,000/s");
    cached::measure(figures, "memory", Arc::new(MemoryStore::default())).await?;
    cached::memory(figures, "memory", Arc::new(MemoryStore::default()), MANY).await
}

async fn durable(figures: &mut Figures, counts: &[usize], folder: &disk::Folder) -> Result<()> {
    let disk = disk::measure(folder)?;
    figures.add("the disk: fsyncs of one appended KiB", "durable", format!("{:.0}/s", disk.syncs), "");
    figures.add(
        "the disk: bytes, appended and fsynced by 64 KiB",
        "durable",
        format!("{:.0} MB/s", disk.megabytes),
        "",
    );
    let limit = disk.limit(workload::CALLERS, workload::VALUE);
    figures.add(
        "the disk: commits that both allow",
        "durable",
        per_second(limit as usize, Duration::from_secs(1)),
        "half of them",
    );
    for count in counts {
        let path = folder.path(&format!("durable-{count}"));
        growth(figures, "durable", *count, Arc::new(DurableStore::open(&path)?)).await?;
        std::fs::remove_dir_all(&path)?;
    }
    let path = folder.path("durable-restart");
    drop(Workload::fill(Arc::new(DurableStore::open(&path)?), MANY).await?);
    let begun = Instant::now();
    let store = DurableStore::open(&path)?;
    figures.add("restart with 100,000 objects", "durable", millis(begun.elapsed()), "<= 1000 ms");
    drop(store);
    cached::measure(figures, "durable", Arc::new(DurableStore::open(folder.path("durable-cached"))?)).await
}

/// What is measured at each number of objects.
async fn growth(figures: &mut Figures, name: &'static str, count: usize, store: Arc<dyn Store>) -> Result<()> {
    eprintln!("{name}, {count} objects");
    let workload = Workload::fill(store, count).await?;
    let targets = |memory, durable| {
        if name == "memory" {
            memory
        } else if name == "durable" {
            durable
        } else {
            ""
        }
    };
    let (commits, took) = workload.commits().await?;
    let target = targets(">= 200,000/s", ">= 20,000/s");
    figures.add(&format!("commits, {count} objects"), name, per_second(commits, took), target);
    let (gets, took) = workload.gets().await?;
    figures.add(&format!("gets, {count} objects"), name, per_second(gets, took), targets(">= 500,000/s", ""));
    if count == LISTED {
        figures.add("list of 10,000 (best of 5)", name, millis(workload.list().await?), targets("<= 2 ms", ""));
    }
    Ok(())
}
