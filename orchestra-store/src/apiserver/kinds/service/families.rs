//! Which families of addresses a Service has (`initIPFamilyFields` of `pkg/registry/core/service/storage`).

use std::net::IpAddr;

use k8s_openapi::api::core::v1::ServiceSpec;

use super::{
    needs,
    ranges::{Family, ServiceRanges},
};
use crate::apiserver::field::{Error, Errors, Path, Shown};

const SINGLE: &str = "SingleStack";
const PREFER: &str = "PreferDualStack";
const REQUIRE: &str = "RequireDualStack";

/// Fills in the policy and the families that follow from what is said, from the addresses and from what was before. What contradicts
/// itself stays as it is, for [`validate`] to tell.
pub(super) fn fill(spec: &mut ServiceSpec, old: Option<&ServiceSpec>, ranges: &ServiceRanges) {
    if !needs::cluster_ip(spec) || is_settled(spec, old) {
        return;
    }
    let open = is_open(spec);
    let before = old.and_then(|old| old.ip_family_policy.clone()).filter(|policy| !policy.is_empty());
    let default = before.unwrap_or_else(|| if open { REQUIRE } else { SINGLE }.to_owned());
    let policy = spec.ip_family_policy.get_or_insert_default();
    if policy.is_empty() {
        *policy = default;
    }
    let single = policy == SINGLE;
    if let Some(old) = old {
        if single {
            shorten(&mut spec.cluster_ips, &old.cluster_ips);
            shorten(&mut spec.ip_families, &old.ip_families);
        } else if releases(spec, old).next().is_some() {
            return;
        }
    }
    infer(spec);
    let families = spec.ip_families.get_or_insert_default();
    if families.is_empty() {
        families.push(ranges.default_family().name().to_owned());
    }
    if !single
        && (open || ranges.is_dual())
        && let [only] = families.as_slice()
        && let Some(family) = Family::named(only)
    {
        families.push(family.other().name().to_owned());
    }
}

/// Whether nothing is asked for that was not before: a Service that prefers both families keeps what it has when the cluster gets or loses
/// one.
fn is_settled(spec: &ServiceSpec, old: Option<&ServiceSpec>) -> bool {
    let prefers = |spec: &ServiceSpec| spec.ip_family_policy.as_deref() == Some(PREFER);
    old.is_some_and(|old| {
        (prefers(spec) || spec.ip_family_policy.is_none())
            && prefers(old)
            && spec.cluster_ips == old.cluster_ips
            && spec.ip_families == old.ip_families
    })
}

/// Whether its endpoints may be of any family: it has neither an address nor a selector.
pub(super) fn is_open(spec: &ServiceSpec) -> bool {
    needs::headless(spec) && spec.selector.as_ref().is_none_or(|selector| selector.is_empty())
}

/// To ask for one family is to give up the second of what was not changed.
fn shorten(new: &mut Option<Vec<String>>, old: &Option<Vec<String>>) {
    if new == old
        && let Some(new) = new
    {
        new.truncate(1);
    }
}

/// Addresses tell their families.
fn infer(spec: &mut ServiceSpec) {
    let families = spec.ip_families.get_or_insert_default();
    let addresses = spec.cluster_ips.iter().flatten().map_while(|ip| ip.parse::<IpAddr>().ok());
    families.extend(addresses.skip(families.len()).map(|ip| Family::of(ip).name().to_owned()).collect::<Vec<_>>());
}

/// What is given up of what was there, as errors name it.
fn releases<'a>(new: &'a ServiceSpec, old: &'a ServiceSpec) -> impl Iterator<Item = &'static str> + 'a {
    let count = |list: &Option<Vec<String>>| list.as_ref().map_or(0, Vec::len);
    let fewer = move |new: &Option<Vec<String>>, old: &Option<Vec<String>>| (1..count(old)).contains(&count(new));
    let addresses = fewer(&new.cluster_ips, &old.cluster_ips).then_some("secondary cluster IP");
    let families = fewer(&new.ip_families, &old.ip_families).then_some("secondary IP family");
    addresses.into_iter().chain(families)
}

/// What is wrong with policy and families.
pub(super) fn validate(spec: &ServiceSpec, old: Option<&ServiceSpec>, ranges: &ServiceRanges) -> Errors {
    if !needs::cluster_ip(spec) || is_settled(spec, old) {
        return Errors::new();
    }
    let at = Path::new("spec").child("ipFamilyPolicy");
    let policy = spec.ip_family_policy.as_deref().unwrap_or_default();
    let families: Vec<&str> = spec.ip_families.iter().flatten().map(String::as_str).collect();
    let mut errors = contradictions(spec, old, policy, &at);
    if !errors.is_empty() || is_open(spec) {
        return errors;
    }
    if policy == REQUIRE && !ranges.is_dual() {
        errors.push(Error::invalid(&at, policy, "this cluster is not configured for dual-stack services"));
    }
    let path = Path::new("spec").child("ipFamilies");
    for (index, family) in families.iter().enumerate() {
        if Family::named(family).and_then(|family| ranges.of(family)).is_none() {
            errors.push(Error::invalid(&path.index(index), *family, "not configured on this cluster"));
        }
    }
    errors
}

/// Whether policy, families and addresses agree with each other and with what was before.
fn contradictions(spec: &ServiceSpec, old: Option<&ServiceSpec>, policy: &str, at: &Path) -> Errors {
    if policy == SINGLE {
        let lists = [(&spec.cluster_ips, "cluster IPs"), (&spec.ip_families, "IP families")];
        let both = lists.into_iter().filter(|(list, _)| list.as_ref().is_some_and(|list| list.len() == 2));
        return both
            .map(|(_, what)| {
                let detail = format!("must be '{REQUIRE}' or '{PREFER}' when multiple {what} are specified");
                Error::invalid(at, policy, detail)
            })
            .collect();
    }
    let released = old.into_iter().flat_map(|old| releases(spec, old));
    released.map(|what| Error::invalid(at, policy, format!("must be '{SINGLE}' to release the {what}"))).collect()
}

/// What is wrong with how policy, families and addresses are written (`ValidateServiceClusterIPsRelatedFields`).
pub(super) fn written(spec: &ServiceSpec, path: &Path) -> Errors {
    let mut errors = Errors::new();
    let at = path.child("ipFamilies");
    let families: Vec<&str> = spec.ip_families.iter().flatten().map(String::as_str).collect();
    for (index, family) in families.iter().enumerate() {
        if Family::named(family).is_none() {
            errors.push(Error::not_supported(&at.index(index), *family, &["IPv4", "IPv6"]));
        }
        if families[..index].contains(family) {
            errors.push(Error::duplicate(&at.index(index), *family));
        }
    }
    if let Some(policy) = spec.ip_family_policy.as_deref().filter(|policy| ![SINGLE, PREFER, REQUIRE].contains(policy))
    {
        errors.push(Error::not_supported(&path.child("ipFamilyPolicy"), policy, &[PREFER, REQUIRE, SINGLE]));
    }
    let at = path.child("clusterIPs");
    let addresses: Option<Vec<IpAddr>> =
        spec.cluster_ips.iter().flatten().map(|ip| ip.parse::<IpAddr>().ok()).collect();
    // None of what follows can be said of what is no address.
    let Some(addresses) = addresses else { return errors };
    if let [first, second] = addresses.as_slice()
        && first.is_ipv4() == second.is_ipv4()
    {
        let detail = "may specify no more than one IP for each IP family";
        errors.push(Error::invalid(&at, Shown::json(&spec.cluster_ips), detail));
    }
    for (index, (address, family)) in addresses.iter().zip(&families).enumerate() {
        if Family::named(family).is_some_and(|family| family != Family::of(*address)) {
            let detail = format!("expected an {family} value as indicated by `ipFamilies[{index}]`");
            errors.push(Error::invalid(&at.index(index), &address.to_string(), detail));
        }
    }
    errors
}
