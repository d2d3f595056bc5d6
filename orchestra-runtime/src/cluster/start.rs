//! Starts the parts of a cluster.

use std::{net::IpAddr, sync::Arc, time::Duration};

use kube::Client;
use orchestra_core::{
    controller::ControllerContext, event_recorder::EventRecorder, informer::InformerFactory,
    manager::ControllerManager, random::Generator,
};
use orchestra_sched::{
    driver::{DEFAULT_SCHEDULER_NAME, SchedulerDriver},
    framework::Framework,
};
use orchestra_store::{MemoryStore, apiserver::ApiServer};
use tokio::time::{Instant, timeout_at};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Cluster, ClusterBuilder, ClusterError, DEFAULT_NAMESPACE,
    builder::{ConfigureProxy, ConfigureScheduling, MakeController},
    network::InProcess,
    nodes::{self, NodePlan, NodePlans},
    ready,
};
use crate::{
    controllers,
    kubelet::{Kubelet, SharedPods},
    metrics::MetricsServer,
    proxy::KubeProxy,
};

impl ClusterBuilder {
    /// Starts all parts on the current tokio runtime, and waits until the nodes are ready. When it fails, nothing is left running.
    pub async fn start(self) -> Result<Cluster, ClusterError> {
        let Self {
            store,
            clock,
            generator,
            registry,
            configure_server,
            wrap_transport,
            scheduling,
            controllers,
            nodes,
            proxy,
            names,
            start_timeout: limit,
            metrics_resolution,
        } = self;
        let deadline = Instant::now() + limit;
        let plans = nodes.unwrap_or_else(NodePlans::one).checked()?;
        let node_names: Vec<String> = plans.iter().map(|plan| plan.name.clone()).collect();
        let store = store.unwrap_or_else(|| Arc::new(MemoryStore::default()));
        // Each part has a generator of its own, forked in this order, so that one seed gives one course of events.
        let network = Arc::<InProcess>::default();
        let server = ApiServer::builder(store)
            .network(network.clone())
            .clock(Arc::clone(&clock))
            .generator(generator.fork())
            .registry(registry);
        let server = configure_server(server).start();
        let server = timeout_at(deadline, server).await.map_err(|_| ClusterError::StoreSilent { limit })??;
        let client = Client::new(wrap_transport(server.router()), DEFAULT_NAMESPACE);
        let informers = InformerFactory::new(client.clone());
        // Before all others ask for pods: who keeps less of them hears of them from there.
        let pods = SharedPods::new(&informers);
        let context = ControllerContext { client, informers, clock, generator: generator.fork() };
        let cluster = Cluster {
            server,
            context,
            network,
            parts: TaskTracker::new(),
            stop: CancellationToken::new(),
            connections: TaskTracker::new(),
            hang_up: CancellationToken::new(),
        };
        let starting = async {
            cluster.parts.spawn(cluster.server.clone().repair_allocations(cluster.stop.clone()));
            cluster.start_controllers(controllers);
            cluster.start_scheduler(scheduling, generator.fork());
            let name_servers = names.start(&cluster, &generator);
            let name_servers = timeout_at(deadline, name_servers).await;
            let name_servers = name_servers.map_err(|_| ClusterError::StoreSilent { limit })??;
            cluster.start_kubelets(plans, &pods, &name_servers, &generator);
            cluster.start_proxy(proxy);
            cluster.start_metrics(metrics_resolution);
            let informers = cluster.informers();
            let ready = timeout_at(deadline, ready::ready(informers, &node_names)).await;
            ready.map_err(|_| ClusterError::NodesNotReady { limit, nodes: ready::missing(informers, &node_names) })
        };
        match starting.await {
            Ok(()) => Ok(cluster),
            Err(error) => {
                cluster.shut_down().await;
                Err(error)
            }
        }
    }
}

impl Cluster {
    fn start_controllers(&self, extra: Vec<MakeController>) {
        let own = controllers::all(&self.context, self.server.registry().changes());
        let extra: Vec<_> = extra.into_iter().map(|make| make(&self.context)).collect();
        let manager = own.into_iter().chain(extra).fold(ControllerManager::new(), ControllerManager::with_arc);
        self.parts.spawn(manager.run(self.stop.clone()));
    }

    fn start_scheduler(&self, configure: Option<ConfigureScheduling>, generator: Generator) {
        let Some(configure) = configure else { return };
        let ControllerContext { client, informers, clock, .. } = self.context.clone();
        let scheduler = Arc::new(Framework::kubernetes());
        let instance = format!("{DEFAULT_SCHEDULER_NAME}-orchestra");
        let recorder = EventRecorder::reporting(client.clone(), DEFAULT_SCHEDULER_NAME, &instance, Arc::clone(&clock));
        let driver = SchedulerDriver::new(client, informers, scheduler, recorder, clock, generator);
        self.parts.spawn(configure(driver).run(self.stop.clone()));
    }

    /// It measures what the parts do and is none of them: its requests do not go their way.
    fn start_metrics(&self, resolution: Option<Duration>) {
        let metrics = MetricsServer::new(self.client(), &self.context.informers);
        let metrics = match resolution {
            Some(resolution) => metrics.resolution(resolution),
            None => metrics,
        };
        self.server.aggregate(metrics.api());
        self.parts.spawn(metrics.run(self.stop.clone()));
    }

    fn start_proxy(&self, plan: Option<(String, ConfigureProxy)>) {
        let Some((node, configure)) = plan else { return };
        let ControllerContext { client, informers, clock, .. } = self.context.clone();
        let proxy = KubeProxy::builder(client, &node).informers(informers).clock(clock);
        self.parts.spawn(configure(proxy).build().run(self.stop.clone()));
    }

    fn start_kubelets(&self, plans: Vec<NodePlan>, pods: &SharedPods, name_servers: &[IpAddr], generator: &Generator) {
        for (plan, number) in plans.into_iter().zip((0..=u16::MAX).cycle()) {
            let runtime = plan.runtime();
            let kubelet = Kubelet::builder(self.context.client.clone(), &plan.name, Arc::clone(&runtime))
                .clock(Arc::clone(&self.context.clock))
                .generator(generator.fork())
                .pod_cidr(nodes::pod_cidr(number))
                .cluster_dns(name_servers.iter().copied())
                .shared_pods(pods.clone());
            let kubelet = (plan.configure)(kubelet).build();
            self.network.add(&plan.name, kubelet.router(), runtime);
            self.parts.spawn(kubelet.run(self.stop.clone()));
        }
    }
}
