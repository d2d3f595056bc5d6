//! Content negotiation: which form of an answer a client accepts.

use crate::apiserver::status::ApiError;

/// The syntaxes of objects, as errors list them.
const AVAILABLE: [&str; 3] = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// The syntax of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// JSON.
    #[default]
    Json,
    /// YAML.
    Yaml,
}

/// What an answer shows of its objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// The objects themselves.
    #[default]
    Objects,
    /// `meta.k8s.io` Table.
    Table,
    /// `meta.k8s.io` PartialObjectMetadata.
    Metadata,
    /// `meta.k8s.io` PartialObjectMetadataList.
    MetadataList,
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accept {
    /// The syntax.
    pub encoding: Encoding,
    /// What is shown.
    pub view: View,
    /// Whether that is wanted in `v1beta1` of `meta.k8s.io`, as clients older than Kubernetes 1.15 do.
    pub is_beta: bool,
}

/// A part of an `Accept` header.
struct Clause<'a> {
    media_type: &'a str,
    quality: f32,
    parameters: Vec<(&'a str, &'a str)>,
}

impl Accept {
    /// Chooses the best of the `Accept` header's formats that can be given.
    pub fn negotiate(header: Option<&str>) -> Result<Self, ApiError> {
        // What programs ask for, as a rule.
        let Some(header) = header.filter(|header| !matches!(*header, "" | "application/json")) else {
            return Ok(Self::default());
        };
        let mut clauses: Vec<Clause<'_>> = header.split(',').map(Clause::parse).collect();
        // Kubernetes' router looks for the names alone, before anything reads the rest.
        if !clauses.iter().any(|clause| clause.media_type == "*/*" || AVAILABLE.contains(&clause.media_type)) {
            let available = AVAILABLE.join(", ");
            return Err(ApiError::not_acceptable(&available));
        }
        clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality).then(a.is_wildcard().cmp(&b.is_wildcard())));
        clauses.iter().find_map(Clause::accept).ok_or_else(|| Self::none_of(&AVAILABLE))
    }

    /// Nothing that the client accepts can be had.
    pub fn none_of(available: &[&str]) -> ApiError {
        let available = available.join(", ");
        ApiError::unacceptable(format!("only the following media types are accepted: {available}"))
    }

    /// The API version of tables and metadata.
    pub fn meta_version(&self) -> &'static str {
        if self.is_beta { "meta.k8s.io/v1beta1" } else { "meta.k8s.io/v1" }
    }
}

impl<'a> Clause<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let mut parameters: Vec<(&str, &str)> =
            parts.filter_map(|part| part.split_once('=')).map(|(key, value)| (key.trim(), value.trim())).collect();
        let quality = parameters.iter().find(|(key, _)| *key == "q");
        let quality = quality.map_or(1.0, |(_, value)| value.parse().unwrap_or(0.0));
        parameters.retain(|(key, _)| *key != "q");
        Self { media_type, quality, parameters }
    }

    fn is_wildcard(&self) -> bool {
        self.media_type.ends_with("/*")
    }

    fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }

    /// The form that it asks for, if that can be given.
    fn accept(&self) -> Option<Accept> {
        let encoding = match self.media_type {
            "application/json" | "*/*" | "application/*" => Encoding::Json,
            "application/yaml" => Encoding::Yaml,
            _ => return None,
        };
        let known = |name: &str, value: &str| self.parameter(name).is_none_or(|said| said.is_empty() || said == value);
        if !known("stream", "watch") || !known("sv", "v1") {
            return None;
        }
        if ["as", "g", "v"].iter().all(|name| self.parameter(name).is_none()) {
            return Some(Accept { encoding, ..Accept::default() });
        }
        let view = match self.parameter("as")? {
            "Table" => View::Table,
            "PartialObjectMetadata" => View::Metadata,
            "PartialObjectMetadataList" => View::MetadataList,
            _ => return None,
        };
        match (self.parameter("g")?, self.parameter("v")?) {
            ("meta.k8s.io", version @ ("v1" | "v1beta1")) => {
                Some(Accept { encoding, view, is_beta: version == "v1beta1" })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(header: &str) -> View {
        Accept::negotiate(Some(header)).unwrap().view
    }

    #[test]
    fn kubectl_gets_a_table() {
        let header = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        assert_eq!(view(header), View::Table);
        let beta = Accept::negotiate(Some("application/json;as=Table;v=v1beta1;g=meta.k8s.io")).unwrap();
        assert_eq!((beta.view, beta.meta_version()), (View::Table, "meta.k8s.io/v1beta1"));
    }

    #[test]
    fn what_is_not_offered_is_skipped() {
        let header = "application/vnd.kubernetes.protobuf,application/json";
        assert_eq!(Accept::negotiate(Some(header)).unwrap(), Accept::default());
        assert_eq!(view("application/json;as=Table;v=v2;g=meta.k8s.io,application/json"), View::Objects);
        for header in
            ["text/html", "application/json;as=Table;v=v2;g=meta.k8s.io", "application/vnd.kubernetes.protobuf"]
        {
            assert_eq!(Accept::negotiate(Some(header)).unwrap_err().code(), 406, "{header}");
        }
    }

    #[test]
    fn quality_decides_before_order_and_wildcards_come_last() {
        let encoding = |header: &str| Accept::negotiate(Some(header)).unwrap().encoding;
        assert_eq!(encoding("application/json;q=0.1,application/yaml;q=0.9"), Encoding::Yaml);
        assert_eq!(encoding("*/*,application/yaml"), Encoding::Yaml);
        assert_eq!(encoding("application/xml;q=0.9,*/*;q=0.8"), Encoding::Json);
    }
}
