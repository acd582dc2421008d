//! `punctual demo`: a short, real story, told as it happens.

mod api;
mod log;
mod receiver;
mod story;
mod summary;

use crate::stop;
use crate::system::{Functions, Services, Settings};
use api::Api;
use log::Log;
use receiver::Receiver;
use std::sync::Arc;
use story::{SHOP, Story};
use summary::Summary;

/// Runs the demo; `once` ends it with the story.
///
/// # Errors
/// Something did not come out as it should.
pub async fn run(settings: Settings, once: bool) -> anyhow::Result<()> {
    let services = Services::start(&settings).await?;
    let functions = Functions::start(&settings, &services).await?;
    let (receiver, mut arrivals) = Receiver::start().await?;
    println!("Punctual is running, with nothing kept: the API on http://{},", functions.address);
    println!("its AWS services on http://{}, a receiver on http://{}.\n", services.address, receiver.address);

    let log = Arc::new(Log::new());
    let shown = {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            while let Some(arrival) = arrivals.recv().await {
                log.arrival(arrival);
            }
        })
    };
    let api = Api::new(functions.address, &settings.keys.admin_key)?;
    let mut story =
        Story { api: &api, functions: &functions, receiver: &receiver, log: &log, endings: Vec::new() };
    let told = story.tell().await;
    let endings = story.endings;
    let summary = Summary::of(&log, &endings);
    summary.print();
    let checked = told.and_then(|()| summary.check(&log, &endings));
    if checked.is_ok() && !once {
        go_on(&settings, &functions, &receiver).await?;
    }
    functions.stop().await;
    services.stop().await;
    receiver.stop().await;
    shown.abort();
    checked
}

/// Leaves everything running for the user to try.
async fn go_on(settings: &Settings, functions: &Functions, receiver: &Receiver) -> anyhow::Result<()> {
    let api = format!("http://{}", functions.address);
    let key = &settings.keys.admin_key;
    println!("\nIt goes on running. Whatever arrives at the receiver is shown here. Try:\n");
    println!("  curl -H 'Authorization: Bearer {key}' \\\n       -H 'Content-Type: application/json' \\");
    println!("       -d '{{\"activityType\": \"ship\", \"parameter\": {{\"order\": \"mine\"}}}}' \\");
    println!("       {api}{SHOP}/activities\n");
    println!("  curl -H 'Authorization: Bearer {key}' {api}{SHOP}/stats\n");
    println!("Every endpoint is on {api}/docs; the receiver answers everything below");
    println!("http://{}/shop/. Ctrl-C ends it.\n", receiver.address);
    stop::requested(|| functions.in_hand()).await?;
    Ok(())
}
