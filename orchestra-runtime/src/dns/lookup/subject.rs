//! What a name in the cluster's domain stands for.

use std::net::IpAddr;

/// What is asked for by a name. Its parts are in lower case, as all that Kubernetes gives names to is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject<'a> {
    /// The domain itself.
    Apex,
    /// `svc` or `pod`: nothing has this name, but names end with it.
    Branch,
    /// `dns-version`.
    SchemaVersion,
    /// `ns.dns`: the name server.
    NameServer,
    /// `<namespace>.svc` or `<namespace>.pod`.
    Namespace(&'a str),
    /// `<service>.<namespace>.svc`.
    Service { namespace: &'a str, service: &'a str, part: Part<'a> },
    /// `<address with dashes>.<namespace>.pod`.
    Pod { namespace: &'a str, address: Option<IpAddr> },
    /// No name that anything can have.
    Unknown,
}

/// What of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// All of it.
    Whole,
    /// `<hostname>.<service>...`.
    Endpoint(&'a str),
    /// `_<port>._<protocol>.<service>...`.
    Port { name: &'a str, protocol: &'a str },
}

impl<'a> Subject<'a> {
    /// Reads the labels before the cluster's domain, last first.
    pub(super) fn of(labels: &'a [String]) -> Self {
        let mut parts = [""; 5];
        if labels.len() > parts.len() {
            return Self::Unknown;
        }
        for (part, label) in parts.iter_mut().zip(labels) {
            *part = label;
        }
        match (labels.len(), parts) {
            (0, _) => Self::Apex,
            (1, ["svc" | "pod", ..]) => Self::Branch,
            (1, ["dns-version", ..]) => Self::SchemaVersion,
            (2, ["dns", "ns", ..]) => Self::NameServer,
            (2, ["svc" | "pod", namespace, ..]) => Self::Namespace(namespace),
            (3, ["pod", namespace, pod, ..]) => Self::Pod { namespace, address: pod_address(pod) },
            (3, ["svc", namespace, service, ..]) => Self::Service { namespace, service, part: Part::Whole },
            (4, ["svc", namespace, service, hostname, _]) => {
                Self::Service { namespace, service, part: Part::Endpoint(hostname) }
            }
            (5, ["svc", namespace, service, protocol, name]) => {
                Self::Service { namespace, service, part: Part::Port { name: bare(name), protocol: bare(protocol) } }
            }
            _ => Self::Unknown,
        }
    }
}

/// Without the underscore, which CoreDNS does not insist on.
fn bare(label: &str) -> &str {
    label.strip_prefix('_').unwrap_or(label)
}

fn pod_address(label: &str) -> Option<IpAddr> {
    let separator = if label.matches('-').count() == 3 && !label.contains("--") { "." } else { ":" };
    label.replace('-', separator).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_the_specification_builds_them() {
        let web = |part| Subject::Service { namespace: "shop", service: "web", part };
        let pod = |address: &str| Subject::Pod { namespace: "shop", address: address.parse().ok() };
        for (name, subject) in [
            ("", Subject::Apex),
            ("svc", Subject::Branch),
            ("pod", Subject::Branch),
            ("dns-version", Subject::SchemaVersion),
            ("ns.dns", Subject::NameServer),
            ("shop.svc", Subject::Namespace("shop")),
            ("shop.pod", Subject::Namespace("shop")),
            ("web.shop.svc", web(Part::Whole)),
            ("web-0.web.shop.svc", web(Part::Endpoint("web-0"))),
            ("_http._tcp.web.shop.svc", web(Part::Port { name: "http", protocol: "tcp" })),
            ("http.tcp.web.shop.svc", web(Part::Port { name: "http", protocol: "tcp" })),
            ("10-1-2-3.shop.pod", pod("10.1.2.3")),
            ("2001-db8--7.shop.pod", pod("2001:db8::7")),
            ("--1.shop.pod", pod("::1")),
            ("web.shop.pod", pod("no address")),
            ("a.10-1-2-3.shop.pod", Subject::Unknown),
            ("a._http._tcp.web.shop.svc", Subject::Unknown),
            ("web.shop", Subject::Unknown),
            ("dns", Subject::Unknown),
        ] {
            let labels: Vec<String> = name.rsplit('.').filter(|label| !label.is_empty()).map(str::to_owned).collect();
            assert_eq!(Subject::of(&labels), subject, "{name}");
        }
    }
}
