//! Images.

use k8s_cri::v1;
use orchestra_core::container_runtime::{Image, ImageSpec, RegistryAuth, RuntimeError};
use tonic::Code;

use super::{
    CriRuntime,
    connection::within,
    convert,
    error::{Subject, pull_error},
};

impl CriRuntime {
    pub(super) async fn fetch_image(
        &self,
        image: &ImageSpec,
        auth: Option<RegistryAuth>,
    ) -> Result<String, RuntimeError> {
        let mut client = self.shared.connection.images();
        let request = v1::PullImageRequest {
            image: Some(convert::image_spec(image)),
            auth: auth.map(convert::auth),
            sandbox_config: None,
        };
        let answer = within(self.shared.options.pull_deadline, client.pull_image(request)).await;
        answer.map(|answer| answer.image_ref).map_err(|status| pull_error(&status))
    }

    pub(super) async fn find_image(&self, image: &ImageSpec) -> Result<Option<Image>, RuntimeError> {
        let mut client = self.shared.connection.images();
        let request = v1::ImageStatusRequest { image: Some(convert::image_spec(image)), verbose: false };
        match within(self.shared.options.deadline, client.image_status(request)).await {
            Ok(answer) => Ok(answer.image.map(convert::image)),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(Subject::Image(&image.0).error(&status)),
        }
    }

    pub(super) async fn images(&self) -> Result<Vec<Image>, RuntimeError> {
        let mut client = self.shared.connection.images();
        let answer =
            within(self.shared.options.deadline, client.list_images(v1::ListImagesRequest { filter: None })).await;
        let answer = answer.map_err(|status| Subject::Runtime("listing images").error(&status))?;
        Ok(answer.images.into_iter().map(convert::image).collect())
    }

    pub(super) async fn delete_image(&self, image: &ImageSpec) -> Result<(), RuntimeError> {
        let mut client = self.shared.connection.images();
        let request = v1::RemoveImageRequest { image: Some(convert::image_spec(image)) };
        match within(self.shared.options.deadline, client.remove_image(request)).await {
            Err(status) if status.code() != Code::NotFound => Err(Subject::Image(&image.0).error(&status)),
            _ => Ok(()),
        }
    }
}
