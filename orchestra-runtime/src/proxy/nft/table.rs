//! What a table has whatever the Services: base chains, the chains next to them, sets and maps.

use std::fmt::Write;

use super::{
    super::{Family, NodePortAddresses, ProxyConfig, ProxyNode},
    element::SetName,
    names::TABLE,
    shape::MARK,
    traffic::{if_not_local, in_family},
};

/// The base chains: name, type, hook and priority. Filters see a packet before DNAT (-100), so that they see where the client meant it to go;
/// the last one sees what no Service has taken.
const BASE_CHAINS: [(&str, &str, &str, i32); 8] = [
    ("filter-prerouting", "filter", "prerouting", -110),
    ("filter-input", "filter", "input", -110),
    ("filter-forward", "filter", "forward", -110),
    ("filter-output", "filter", "output", -110),
    ("filter-output-post-dnat", "filter", "output", -90),
    ("nat-prerouting", "nat", "prerouting", -100),
    ("nat-output", "nat", "output", -100),
    ("nat-postrouting", "nat", "postrouting", 100),
];

/// The chains next to the base chains.
const CHAINS: [&str; 8] = [
    "services",
    "firewall-check",
    "service-endpoints-check",
    "nodeport-endpoints-check",
    "cluster-ips-check",
    "mark-for-masquerade",
    "masquerading",
    "reject-chain",
];

/// Which base chain goes where. Refusal is for input, forward and output only. On the way out Kubernetes refuses before DNAT; after it, the
/// node's own traffic to a front with the external policy Local reaches the endpoints of other nodes, as that of its pods does.
const JUMPS: [(&str, &str); 11] = [
    ("filter-prerouting", "ct state new jump firewall-check"),
    ("filter-output", "ct state new jump firewall-check"),
    ("filter-input", "ct state new jump nodeport-endpoints-check"),
    ("filter-input", "ct state new jump service-endpoints-check"),
    ("filter-forward", "ct state new jump service-endpoints-check"),
    ("filter-forward", "ct state new jump cluster-ips-check"),
    ("filter-output-post-dnat", "ct state new jump service-endpoints-check"),
    ("filter-output-post-dnat", "ct state new jump cluster-ips-check"),
    ("nat-prerouting", "jump services"),
    ("nat-output", "jump services"),
    ("nat-postrouting", "jump masquerading"),
];

/// Commands that put an empty table in the place of whatever there is of that name.
pub(super) fn fresh(family: Family, node: &ProxyNode, config: &ProxyConfig) -> String {
    let mut text = String::new();
    let mut line = |line: std::fmt::Arguments<'_>| {
        // A String takes all that is written to it.
        let _ = writeln!(text, "{line}");
    };
    line(format_args!("add table {family} {TABLE}"));
    line(format_args!("delete table {family} {TABLE}"));
    line(format_args!("add table {family} {TABLE} {{ comment \"rules for kube-proxy\"; }}"));
    for set in SetName::ALL {
        let (what, comment) = definition(set, family);
        line(format_args!("add {what}; comment \"{comment}\"; }}"));
    }
    let (address_set, node_port) = node_port_match(family, node, config);
    if let Some(set) = address_set {
        line(format_args!("{set}"));
    }
    for (name, kind, hook, priority) in BASE_CHAINS {
        line(format_args!(
            "add chain {family} {TABLE} {name} {{ type {kind} hook {hook} priority {priority}; policy accept; }}"
        ));
    }
    for chain in CHAINS {
        line(format_args!("add chain {family} {TABLE} {chain}"));
    }
    for (chain, rule) in JUMPS {
        line(format_args!("add rule {family} {TABLE} {chain} {rule}"));
    }
    for (chain, rule) in rules(family, config, &node_port) {
        line(format_args!("add rule {family} {TABLE} {chain} {rule}"));
    }
    text
}

/// Set or map, name and type, up to the comment, and what it is for.
fn definition(set: SetName, family: Family) -> (String, &'static str) {
    let address = family.data_type();
    let front = format!("{address} . inet_proto . inet_service");
    // Typed by `classid`, the type of a packet's priority: see `Shape::rules`.
    let slot = "inet_proto . inet_service . classid";
    let endpoint = format!("{address} . inet_service");
    let named = |what: &str, kind: &str| format!("{what} {family} {TABLE} {set} {{ {kind}");
    match set {
        SetName::ServiceIps => {
            (named("map", &format!("type {front} : verdict")), "ClusterIP, ExternalIP and LoadBalancer IP traffic")
        }
        SetName::ServiceNodePorts => (named("map", "type inet_proto . inet_service : verdict"), "NodePort traffic"),
        SetName::ServiceEndpoints | SetName::ServiceLocalEndpoints => (
            named("map", &format!("type {address} . {slot} : {endpoint}")),
            if set == SetName::ServiceEndpoints { "endpoints by number" } else { "this node's endpoints by number" },
        ),
        SetName::NodePortEndpoints | SetName::NodePortLocalEndpoints => (
            named("map", &format!("type {slot} : {endpoint}")),
            if set == SetName::NodePortEndpoints { "endpoints by number" } else { "this node's endpoints by number" },
        ),
        SetName::NoEndpointServices => (
            named("map", &format!("type {front} : verdict")),
            "vmap to drop or reject packets to services with no endpoints",
        ),
        SetName::NoEndpointNodePorts => (
            named("map", "type inet_proto . inet_service : verdict"),
            "vmap to drop or reject packets to service nodeports with no endpoints",
        ),
        SetName::FirewallIps => (
            named("map", &format!("type {front} : verdict")),
            "destinations that are subject to LoadBalancerSourceRanges",
        ),
        SetName::ClusterIps => (named("set", &format!("type {address}")), "Active ClusterIPs"),
        SetName::HairpinEndpoints => {
            (named("set", &format!("type {address} . {address}")), "endpoints that may be their own clients")
        }
    }
}

/// The command that makes the set `nodeport-ips`, and the condition that a packet is for a node port; a family without such addresses has none.
fn node_port_match(family: Family, node: &ProxyNode, config: &ProxyConfig) -> (Option<String>, Option<String>) {
    let set = |members: String| {
        let address = family.data_type();
        format!(
            "add set {family} {TABLE} nodeport-ips {{ type {address}; flags interval; \
             comment \"IPs that accept NodePort traffic\"; elements = {{ {members} }}; }}"
        )
    };
    let loopback = family.loopback();
    match &config.node_port_addresses {
        NodePortAddresses::Primary => match node.primary(family).filter(|address| !address.is_loopback()) {
            Some(address) => (Some(set(address.to_string())), Some(format!("{family} daddr @nodeport-ips"))),
            None => (None, None),
        },
        NodePortAddresses::Cidrs(ranges) => {
            let local = format!("fib daddr type local {family} daddr != {loopback}");
            let all = ranges.iter().any(|range| range.prefix() == 0 && Family::of(range.first()) == family);
            let members = in_family(&super::super::rules::without_contained(ranges.clone()), family);
            match (all, members.is_empty()) {
                (true, _) => (None, Some(local)),
                (false, true) => (None, None),
                (false, false) => (Some(set(members)), Some(format!("{local} {family} daddr @nodeport-ips"))),
            }
        }
    }
}

fn rules(family: Family, config: &ProxyConfig, node_port: &Option<String>) -> Vec<(&'static str, String)> {
    let front = format!("{family} daddr . meta l4proto . th dport");
    let mark = format!("{:#010x}", config.mark());
    let mut rules = vec![
        ("reject-chain", "reject".to_owned()),
        ("mark-for-masquerade", format!("mark set mark or {mark}")),
        // What the draw of an endpoint left there.
        ("masquerading", "ct status dnat meta priority set 0:0".to_owned()),
        // Who is their own client would see an answer from nowhere.
        (
            "masquerading",
            format!(
                "ct status dnat {family} saddr . {family} daddr @{} masquerade fully-random",
                SetName::HairpinEndpoints
            ),
        ),
        ("masquerading", format!("mark and {mark} == 0 return")),
        ("masquerading", format!("mark set mark xor {mark}")),
        ("masquerading", "masquerade fully-random".to_owned()),
        ("firewall-check", format!("{front} vmap @{}", SetName::FirewallIps)),
        ("service-endpoints-check", format!("{front} vmap @{}", SetName::NoEndpointServices)),
        (
            "cluster-ips-check",
            format!(
                "{family} daddr @{} reject comment \"Reject traffic to invalid ports of ClusterIPs\"",
                SetName::ClusterIps
            ),
        ),
    ];
    let ranges = in_family(&super::super::rules::without_contained(config.service_cidrs.clone()), family);
    if !ranges.is_empty() {
        let drop = format!("{family} daddr {{ {ranges} }} drop comment \"Drop traffic to unallocated ClusterIPs\"");
        rules.push(("cluster-ips-check", drop));
    }
    if let Some(foreign) = masqueraded(family, config) {
        rules.push(("services", format!("{foreign}{family} daddr @{} {MARK}", SetName::ClusterIps)));
    }
    rules.push(("services", format!("{front} vmap @{}", SetName::ServiceIps)));
    if let Some(node_port) = node_port {
        let port = format!("{node_port} meta l4proto . th dport vmap @");
        rules.push(("services", format!("{port}{}", SetName::ServiceNodePorts)));
        rules.push(("nodeport-endpoints-check", format!("{port}{}", SetName::NoEndpointNodePorts)));
    }
    rules
}

/// Which traffic to cluster IPs is masqueraded: all, that from outside (somebody routes cluster IPs through this node), or none.
fn masqueraded(family: Family, config: &ProxyConfig) -> Option<String> {
    if config.masquerade_all {
        return Some(String::new());
    }
    if_not_local(family, &config.local_traffic).map(|condition| condition + " ")
}

/// How many rules there are in the fixed chains of a fresh table.
pub(super) fn rule_count(family: Family, node: &ProxyNode, config: &ProxyConfig) -> usize {
    JUMPS.len() + rules(family, config, &node_port_match(family, node, config).1).len()
}

/// How many rules are in a [`fixed_part`]. With numbers asked for, rules have one, and so has what begins a block.
pub(super) fn rules_in(fixed: &str) -> usize {
    fixed.lines().filter(|line| line.contains(" # handle ") && !line.contains("{ # handle ")).count()
}

/// What of a family's listing is of our table and does not depend on Services: its own line, the names of maps, and the fixed chains with their rules.
pub(super) fn fixed_part(listing: &str) -> String {
    let (mut ours, mut fixed) = (false, false);
    let lines = listing.lines().filter(|line| {
        let words: Vec<&str> = line.split_whitespace().take(3).collect();
        match words.as_slice() {
            ["table", _, name] => {
                ours = *name == TABLE;
                fixed = ours;
            }
            ["chain", name, _] => fixed = CHAINS.contains(name) || BASE_CHAINS.iter().any(|(base, ..)| base == name),
            ["map" | "set", name, "{"] => {
                fixed = false;
                return ours && SetName::ALL.iter().any(|set| set.to_string() == *name);
            }
            _ => {}
        }
        ours && fixed
    });
    lines.map(|line| line.to_owned() + "\n").collect()
}
