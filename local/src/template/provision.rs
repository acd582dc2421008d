//! Creates what the template describes and is not there yet.

use super::functions::{self, Function};
use super::intrinsics::{Scope, as_text};
use super::tables::Table;
use super::{Resource, STACK, Template, TemplateError};
use aws_sdk_dynamodb::error::DisplayErrorContext;
use aws_sdk_dynamodb::types::{TableDescription, TimeToLiveSpecification};
use aws_sdk_sqs::types::QueueAttributeName;
use shared::context::Clients;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// The queue properties that are attributes of the same name.
const QUEUE_ATTRIBUTES: &[&str] = &[
    "VisibilityTimeout",
    "DelaySeconds",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "RedrivePolicy",
    "SqsManagedSseEnabled",
];

/// What there is now, and what the functions are told about it.
#[derive(Debug, Clone)]
pub struct Provisioned {
    pub functions: Vec<Function>,
    /// The queues' URLs by their names.
    pub queue_urls: BTreeMap<String, String>,
}

/// Why the template's resources could not be created.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error("cannot create {resource}: {reason}")]
    Service { resource: String, reason: String },
    #[error(
        "the table {table} has other keys or indexes than template.yaml gives it; begin with a new data directory"
    )]
    Changed { table: String },
}

impl Provisioned {
    /// The environment variables of a function; none if the template has no such function.
    pub fn environment(&self, function: &str) -> HashMap<String, String> {
        let found = self.functions.iter().find(|candidate| candidate.name == function);
        found.map(|function| function.environment.clone().into_iter().collect()).unwrap_or_default()
    }

    /// After this, Lambda gives an invocation of the function up.
    pub fn timeout(&self, function: &str) -> Duration {
        let found = self.functions.iter().find(|candidate| candidate.name == function);
        found.map_or(Duration::ZERO, |function| function.timeout)
    }
}

/// Creates tables, keys and queues, and reads the functions. What is there
/// already stays as it is.
///
/// # Errors
/// The template refers to something unknown, or a service refuses.
pub async fn provision(
    template: &Template,
    parameters: &BTreeMap<String, String>,
    clients: &Clients,
) -> Result<Provisioned, ProvisionError> {
    let scope = Scope::new(template, parameters);
    let tables = template.of_type("AWS::DynamoDB::Table", &scope)?;
    let keys = template.of_type("AWS::KMS::Key", &scope)?;
    let mut queues = template.of_type("AWS::SQS::Queue", &scope)?;
    // Dead-letter queues first: the others' redrive policies refer to them.
    queues.sort_by_key(|(_, queue)| queue.property("RedrivePolicy").is_some());

    let mut scope = Scope::new(template, parameters);
    for (id, resource) in tables {
        let table = Table::read(&scope, id, resource).map_err(|fault| TemplateError::at(id, fault))?;
        let arn = create_table(clients, &table).await?;
        scope.add(id, &table.table_name, &[("Arn", &arn)]);
    }
    for (id, _) in keys {
        let (key_id, arn) = create_key(clients, id).await?;
        scope.add(id, &key_id, &[("Arn", &arn), ("KeyId", &key_id)]);
    }
    let mut queue_urls = BTreeMap::new();
    for (id, resource) in queues {
        let (name, attributes) = queue(&scope, id, resource).map_err(|fault| TemplateError::at(id, fault))?;
        let (url, arn) = create_queue(clients, &name, attributes).await?;
        scope.add(id, &url, &[("Arn", &arn), ("QueueName", &name), ("QueueUrl", &url)]);
        queue_urls.insert(name, url);
    }
    Ok(Provisioned { functions: functions::read(template, &scope)?, queue_urls })
}

async fn create_table(clients: &Clients, table: &Table) -> Result<String, ProvisionError> {
    let name = &table.table_name;
    let described = clients.dynamodb.describe_table().table_name(name).send().await;
    let existing = match described {
        Ok(described) => described.table,
        Err(error)
            if error.as_service_error().is_some_and(|error| error.is_resource_not_found_exception()) =>
        {
            None
        }
        Err(error) => return Err(refused(name, &error)),
    };
    if let Some(existing) = existing {
        if shape(&existing) != table.shape() {
            return Err(ProvisionError::Changed { table: name.clone() });
        }
        // A data directory may be older than the table's time to live.
        expire(clients, table).await?;
        return Ok(existing.table_arn.unwrap_or_default());
    }
    let request = table.creation().map_err(|fault| TemplateError::at(name, fault))?;
    let created = request.send_with(&clients.dynamodb).await.map_err(|error| refused(name, &error))?;
    expire(clients, table).await?;
    Ok(created.table_description.and_then(|created| created.table_arn).unwrap_or_default())
}

/// Gives a table its time to live, if it has not that one already.
async fn expire(clients: &Clients, table: &Table) -> Result<(), ProvisionError> {
    let name = &table.table_name;
    let Some(expiry) = &table.time_to_live_specification else { return Ok(()) };
    let described = clients.dynamodb.describe_time_to_live().table_name(name).send().await;
    let described = described.map_err(|error| refused(name, &error))?.time_to_live_description;
    if described.is_some_and(|found| found.attribute_name.as_ref() == Some(&expiry.attribute_name)) {
        return Ok(());
    }
    let specification =
        TimeToLiveSpecification::builder().attribute_name(&expiry.attribute_name).enabled(expiry.enabled);
    let specification = specification.build().map_err(|error| TemplateError::at(name, error.to_string()))?;
    let request = clients.dynamodb.update_time_to_live().table_name(name);
    let updated = request.time_to_live_specification(specification).send().await;
    updated.map_err(|error| refused(name, &error))?;
    Ok(())
}

/// The same lines as [`Table::shape`], of a table that exists.
fn shape(table: &TableDescription) -> Vec<String> {
    let line = |keys: &[aws_sdk_dynamodb::types::KeySchemaElement]| {
        let keys: Vec<_> =
            keys.iter().map(|key| format!("{}={}", key.key_type.as_str(), key.attribute_name)).collect();
        keys.join(",")
    };
    let mut shape = vec![line(table.key_schema())];
    shape.extend(table.global_secondary_indexes().iter().map(|index| {
        let projection = index.projection().and_then(|projection| projection.projection_type());
        let projection = projection.map(|kind| kind.as_str()).unwrap_or_default();
        format!("{}: {} {projection}", index.index_name().unwrap_or_default(), line(index.key_schema()))
    }));
    shape[1..].sort();
    shape
}

/// A key is found again by an alias of the resource's name: keys have no names.
async fn create_key(clients: &Clients, id: &str) -> Result<(String, String), ProvisionError> {
    let alias = format!("alias/{STACK}-{id}");
    let described = clients.kms.describe_key().key_id(&alias).send().await;
    let existing = match described {
        Ok(described) => described.key_metadata,
        Err(error) if error.as_service_error().is_some_and(|error| error.is_not_found_exception()) => None,
        Err(error) => return Err(refused(id, &error)),
    };
    if let Some(key) = existing {
        return Ok((key.key_id, key.arn.unwrap_or_default()));
    }
    let created = clients.kms.create_key().send().await.map_err(|error| refused(id, &error))?;
    let key = created.key_metadata.ok_or_else(|| ProvisionError::Service {
        resource: id.to_owned(),
        reason: "KMS answered without the key".to_owned(),
    })?;
    let alias = clients.kms.create_alias().alias_name(alias).target_key_id(&key.key_id);
    alias.send().await.map_err(|error| refused(id, &error))?;
    Ok((key.key_id, key.arn.unwrap_or_default()))
}

type Attributes = HashMap<QueueAttributeName, String>;

fn queue(scope: &Scope<'_>, id: &str, resource: &Resource) -> Result<(String, Attributes), String> {
    let name = resource.property("QueueName").map(|name| scope.text(name)).transpose()?;
    let mut attributes = Attributes::new();
    for property in QUEUE_ATTRIBUTES {
        let Some(value) = resource.property(property) else { continue };
        let value = scope.resolve(value).map_err(|fault| format!("{property}: {fault}"))?;
        // A policy travels as JSON text.
        let value = if value.is_object() { value.to_string() } else { as_text(&value)? };
        attributes.insert(QueueAttributeName::from(*property), value);
    }
    Ok((name.unwrap_or_else(|| format!("{STACK}-{id}")), attributes))
}

async fn create_queue(
    clients: &Clients,
    name: &str,
    attributes: Attributes,
) -> Result<(String, String), ProvisionError> {
    let request = clients.sqs.create_queue().queue_name(name).set_attributes(Some(attributes));
    let created = request.send().await.map_err(|error| refused(name, &error))?;
    let url = created.queue_url.unwrap_or_default();
    let request =
        clients.sqs.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::QueueArn);
    let described = request.send().await.map_err(|error| refused(name, &error))?;
    let arn = described.attributes.and_then(|mut all| all.remove(&QueueAttributeName::QueueArn));
    Ok((url, arn.unwrap_or_default()))
}

fn refused(resource: &str, error: &(impl std::error::Error + 'static)) -> ProvisionError {
    ProvisionError::Service { resource: resource.to_owned(), reason: DisplayErrorContext(error).to_string() }
}
