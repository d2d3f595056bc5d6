use k8s_openapi::api::resource::v1::ResourceClaim;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, PostParams, Preconditions},
};
use orchestra_core::device::FINALIZER;

/// Deletes a claim that was made for the extended resources of a pod, whether it has devices or not. One that is gone is fine.
pub(crate) async fn delete(api: &Api<ResourceClaim>, claim: ResourceClaim) -> Result<(), kube::Error> {
    match release_and_delete(api, claim).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        ended => ended,
    }
}

async fn release_and_delete(api: &Api<ResourceClaim>, mut claim: ResourceClaim) -> Result<(), kube::Error> {
    let (name, uid) = (claim.name_any(), claim.metadata.uid.clone());
    while claim.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
        claim.finalizers_mut().retain(|finalizer| finalizer != FINALIZER);
        match api.replace(&name, &PostParams::default(), &claim).await {
            // Somebody else wrote first.
            Err(kube::Error::Api(status)) if status.is_conflict() => claim = api.get(&name).await?,
            written => claim = written?,
        }
        if claim.metadata.uid != uid {
            return Ok(());
        }
    }
    let preconditions = Some(Preconditions { uid, resource_version: None });
    let params = DeleteParams { preconditions, ..DeleteParams::default() };
    api.delete(&name, &params).await.map(drop)
}
