//! template.yaml, read as local mode needs it: tables, queues, keys and functions.
//!
//! Everything else in the file (roles, alarms, outputs) is left alone. The
//! values are resolved while the resources are created, because some of them,
//! such as a queue's URL, exist only then.

mod functions;
mod intrinsics;
mod provision;
mod tables;

#[cfg(test)]
mod tests;

pub use functions::{Function, QueueTrigger, Schedule};
pub use provision::{ProvisionError, Provisioned, provision};

use serde::Deserialize;
use serde_yaml_ng::Value;
use shared::tenancy::SecretHash;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// The stack's name, of which AWS would make the resources' names.
pub const STACK: &str = "punctual";
const PROJECT_TEMPLATE: &str = include_str!("../../../template.yaml");

/// Loopback, which local mode opens to outbound calls unless told otherwise:
/// the receivers one tries it with are on this machine.
pub const LOCAL_ALLOWED_CIDRS: &str = "127.0.0.0/8,::1/128";

/// Of its workers one company may have more than on AWS: the messages of a crowd become visible one by one, and each that is
/// received by itself takes a worker until the instant.
const LOCAL_COMPANY_PERCENT: &str = "60";

/// The template's parameters as local mode sets them.
pub fn parameters(admin_key: &str, processor_secret: &str, allowed_cidrs: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("AdminKeySha256".to_owned(), SecretHash::of(admin_key).hex()),
        ("ProcessorSecretSha256".to_owned(), SecretHash::of(processor_secret).hex()),
        ("AllowedCidrs".to_owned(), allowed_cidrs.to_owned()),
        ("CompanyWorkersPercent".to_owned(), LOCAL_COMPANY_PERCENT.to_owned()),
    ])
}

/// A parsed template; values that refer to others are still unresolved.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Template {
    parameters: BTreeMap<String, Parameter>,
    conditions: BTreeMap<String, Value>,
    globals: Globals,
    resources: BTreeMap<String, Resource>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    #[serde(rename = "Type", default)]
    kind: String,
    #[serde(default)]
    default: Option<Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Globals {
    function: Value,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Resource {
    #[serde(rename = "Type")]
    kind: String,
    #[serde(default)]
    condition: Option<String>,
    #[serde(default)]
    metadata: Value,
    #[serde(default)]
    properties: Value,
}

/// Why a template is refused.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    #[error("template.yaml is not a CloudFormation template: {0}")]
    Yaml(#[from] serde_yaml_ng::Error),
    #[error("template.yaml: {resource}: {fault}")]
    Resource { resource: String, fault: String },
}

impl TemplateError {
    fn at(resource: &str, fault: impl Into<String>) -> Self {
        Self::Resource { resource: resource.to_owned(), fault: fault.into() }
    }
}

impl Template {
    /// The project's own template, as it was when this program was built.
    ///
    /// # Errors
    /// It is no template; the tests hold that it is.
    pub fn project() -> Result<Arc<Self>, TemplateError> {
        // Once for a process: tests start many systems.
        static PARSED: OnceLock<Arc<Template>> = OnceLock::new();
        if let Some(parsed) = PARSED.get() {
            return Ok(Arc::clone(parsed));
        }
        let parsed = Arc::new(Self::parse(PROJECT_TEMPLATE)?);
        Ok(Arc::clone(PARSED.get_or_init(|| parsed)))
    }

    /// Reads a template.
    ///
    /// # Errors
    /// The text is no YAML, or has not the shape of a template.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        Ok(serde_yaml_ng::from_str(text)?)
    }

    /// The resources of a type, but for those whose condition does not hold.
    fn of_type<'a>(
        &'a self,
        kind: &'a str,
        scope: &'a intrinsics::Scope<'a>,
    ) -> Result<Vec<(&'a str, &'a Resource)>, TemplateError> {
        let mut found = Vec::new();
        for (id, resource) in self.resources.iter().filter(|(_, resource)| resource.kind == kind) {
            let holds = resource.condition.as_deref().map_or(Ok(true), |name| scope.condition(name));
            if holds.map_err(|fault| TemplateError::at(id, fault))? {
                found.push((id.as_str(), resource));
            }
        }
        Ok(found)
    }
}

impl Parameter {
    /// Whether its value is a list, which is given as text with commas.
    fn is_list(&self) -> bool {
        self.kind == "CommaDelimitedList" || self.kind.starts_with("List<")
    }
}

impl Resource {
    fn property(&self, name: &str) -> Option<&Value> {
        self.properties.get(name).filter(|value| !value.is_null())
    }
}
