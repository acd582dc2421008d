//! Lists, page by page.

use super::answer;
use super::cursor::Scope;
use super::problem::Problem;
use super::query::{self, Query};
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::Uri;
use http::request::Parts;
use serde::Serialize;
use shared::context::Context;
use shared::page::Page;
use shared::tenancy::PageRequest;
use utoipa::ToSchema;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Items<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Give it as `cursor` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// The page of a list that is asked for.
pub struct Listing {
    /// What its cursors are for.
    scope: Scope,
    /// Where it begins, and how long it is.
    pub request: PageRequest,
}

impl Listing {
    /// The page, and what `read` takes of the query beside.
    ///
    /// # Errors
    /// 400 with every fault of the query. The first one in a process reads the cursor secret.
    pub async fn of<T>(
        context: &Context,
        uri: &Uri,
        read: impl FnOnce(&mut Query<'_>) -> T,
    ) -> Result<(Self, T), Problem> {
        let scope = Scope::of(context, uri).await?;
        let read = |query: &mut Query<'_>| {
            let beside = read(query);
            Some((query.page(&scope), beside))
        };
        let (request, beside) = query::read(uri, read)?;
        Ok((Self { scope, request }, beside))
    }

    /// Where the page begins, if it is not the first.
    pub fn after(&self) -> Option<&str> {
        self.request.after.as_deref()
    }

    /// The answer, its cursor sealed. It ends where its items are as much as Lambda can send.
    pub fn show<T, V: Serialize>(&self, page: Page<T>, view: impl Fn(T) -> V) -> Response {
        let shown = page.fit(|item| {
            let json = serde_json::value::to_raw_value(&view(item))?;
            let bytes = sent_bytes(json.get());
            Ok::<_, serde_json::Error>((json, bytes))
        });
        match shown {
            Ok((items, next)) => {
                answer::ok(&Items { items, next_cursor: next.map(|next| self.scope.seal(&next)) })
            }
            Err(error) => Problem::internal(error).into_response(),
        }
    }
}

/// The first or a later page of a list that has no filter.
impl<S: AsRef<Context> + Send + Sync> FromRequestParts<S> for Listing {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Ok(Self::of(state.as_ref(), &parts.uri, |_| ()).await?.0)
    }
}

/// The bytes of JSON as Lambda sends it: inside a string of another JSON, where quotes and backslashes are escaped.
fn sent_bytes(json: &str) -> usize {
    json.len() + json.bytes().filter(|byte| matches!(byte, b'"' | b'\\' | b'\n' | b'\r' | b'\t')).count()
}
