//! Receivers that repeat their requests: nothing that a call keeps secret is found in what is kept of the answer (SPEC §11).

use crate::{notifications, rolling};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use rules::names::{Channel, Tenant};
use shared::tenancy::{Actor, NewDispatchConfig, NotificationType, Rolling};
use std::io;
use std::sync::{Arc, Mutex};
use tests::provider::API_KEY;
use tests::raw::REQUEST;
use tests::reminders::NOTIFICATION_KEY;
use tests::world::beginning;
use tests::{RawReceiver, Then, World};
use tracing_subscriber::fmt::MakeWriter;

/// Everything that is logged.
#[derive(Clone, Default)]
pub struct Logs(pub Arc<Mutex<Vec<u8>>>);

impl io::Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Logs {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// A receiver that answers 500 with the request in the body.
async fn echo() -> RawReceiver {
    let head = "HTTP/1.1 500 Oops\r\ncontent-type: text/plain\r\n\r\n";
    RawReceiver::start([(format!("{head}it was: {REQUEST}"), Then::Close)]).await
}

async fn signing_secret(world: &World, tenant: &Tenant) -> String {
    let secrets = world.ctx.tenancy.signing_secrets(tenant).await.unwrap().unwrap();
    secrets.at(beginning())[0].to_owned()
}

/// No secret is in any item of work, in any log or in `texts`; and something of the answers is.
async fn assert_kept_without(world: &World, logs: &Logs, texts: &[String], secrets: &[&str]) {
    let items = format!("{:?}", world.dump().await);
    let logs = String::from_utf8(logs.0.lock().unwrap().clone()).unwrap();
    assert!(items.contains("it was: ") && items.contains("[redacted]"), "{items}");
    for text in texts.iter().chain([&items, &logs]) {
        for secret in secrets {
            let forms = [(*secret).to_owned(), STANDARD.encode(secret), secret.replace('/', "\\/")];
            for form in forms {
                assert!(!text.contains(&form), "{form} in {text}");
            }
        }
    }
}

fn logging() -> (Logs, tracing::subscriber::DefaultGuard) {
    let logs = Logs::default();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(logs.clone()).finish();
    (logs, tracing::subscriber::set_default(subscriber))
}

#[tokio::test]
async fn a_dialog_services_key_is_in_no_history_no_webhook_and_no_log() {
    let (logs, _guard) = logging();
    let world = World::new().await;
    let tenant = world.reminders("acme").await;
    let dialog = echo().await;
    world.configure(&tenant, |settings| settings.dialog_service_uri = Some(dialog.url())).await;
    world.remind(world.reminder(&tenant, "r", "1", &[0])).await;
    assert_eq!(world.counts().await, (0, 1, 0));
    world.run(beginning() + TimeDelta::minutes(1)).await;
    assert!(dialog.requests()[0].contains(NOTIFICATION_KEY), "it did go out");
    let entries = world.entries(&tenant, "r").await;
    assert!(entries[0].detail.contains("authorization: [redacted]"), "{}", entries[0].detail);
    let hooks = world.hooks.arrivals();
    let hooks: Vec<String> =
        hooks.iter().map(|hook| String::from_utf8_lossy(&hook.body).into_owned()).collect();
    assert!(hooks[0].contains("authorization: [redacted]"), "{hooks:?}");
    assert_kept_without(&world, &logs, &hooks, &[NOTIFICATION_KEY]).await;
}

#[tokio::test]
async fn the_headers_of_types_are_in_no_history_and_no_rolled_log() {
    let (logs, _guard) = logging();
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    let receiver = echo().await;
    let basic = format!("Basic {}", STANDARD.encode("user:hush/pass"));
    let headers = vec![
        ("Authorization".to_owned(), "Bearer hush/bearer".to_owned()),
        ("Proxy-Authorization".to_owned(), basic.clone()),
        ("X-Api-Key".to_owned(), "hush/api-key".to_owned()),
        ("Cookie".to_owned(), "sid=hush/cookie".to_owned()),
        ("X-Acme-Token".to_owned(), "hush/token".to_owned()),
        ("X-Plain".to_owned(), "plain/value".to_owned()),
    ];
    let uri = format!("{}/{{id}}?access_token=hush/query", receiver.url());
    world
        .put_type(&tenant, "call", |t| {
            t.headers.clone_from(&headers);
            t.uri_pattern = uri.parse().unwrap();
        })
        .await;
    world.accept(vec![world.activity(&tenant, "a", TimeDelta::zero())]).await;
    world.run(beginning() + TimeDelta::minutes(5)).await;

    let of =
        NotificationType { headers, ..NotificationType::new("told".parse().unwrap(), receiver.url(), 3) };
    world.ctx.tenancy.put_notification_type(&Actor::Admin, &tenant, of).await.unwrap();
    notifications::publish(&world, &tenant, "told", "n").await;
    let seen = receiver.requests();
    assert!(
        seen.iter().all(|request| request.contains("hush/bearer") && request.contains(&basic)),
        "{seen:?}"
    );
    let details: Vec<String> = {
        let activity = world.get(&tenant, "a").await.history.into_iter();
        let notification = notifications::get(&world, &tenant, "n").await.history.into_iter();
        activity.chain(notification).map(|entry| entry.detail.unwrap_or_default()).collect()
    };
    assert_eq!(details.len(), 4);
    for detail in &details {
        assert!(detail.contains("x-plain: plain/value") && detail.contains("[redacted]"), "{detail}");
    }

    world.ctx.tenancy.put_solution(&Actor::Admin, &tenant, 1, Rolling::default()).await.unwrap();
    rolling::set(&world, &tenant, |_| {}).await;
    world.clock.advance(rolling::DAY * 2);
    assert_eq!(rolling::roll(&world).await.batches, 1);
    let rolled: Vec<String> =
        rolling::batches(&world).into_iter().map(|(.., body)| body.to_string()).collect();
    assert!(rolled[0].contains("x-plain: plain/value"), "{rolled:?}");
    let secrets = [
        "hush/bearer",
        "hush/pass",
        basic.as_str(),
        "hush/api-key",
        "hush/cookie",
        "hush/token",
        "hush/query",
    ];
    assert_kept_without(&world, &logs, &rolled, &secrets).await;
}

#[tokio::test]
async fn signing_secrets_and_credentials_are_in_no_history() {
    let (logs, _guard) = logging();
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    let secret = signing_secret(&world, &tenant).await;
    let bytes = secret.trim_start_matches("whsec_");
    // A receiver that helps with its configuration, in the clear and otherwise.
    let text = format!(
        "HTTP/1.1 401 No\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n{{\"was\": \"it was: \", \"secret\": \"{}\", \"key\": \"{}\", \"hex\": \"{}\"}} {REQUEST}",
        secret.replace('/', "\\/"),
        bytes.replace('+', "%2B").replace('/', "%2F"),
        STANDARD.encode(&secret),
    );
    let receiver = RawReceiver::start([(text, Then::Close)]).await;
    world.put_type(&tenant, "call", |t| t.uri_pattern = receiver.url().parse().unwrap()).await;
    world.accept(vec![world.activity(&tenant, "a", TimeDelta::zero())]).await;
    let provider = echo().await;
    let config = NewDispatchConfig { base_url: Some(provider.url()), ..world.yom(Channel::Email) };
    world.put_config(&tenant, config).await;
    world.accept(vec![world.message(&tenant, Channel::Email, "m")]).await;
    world.work(&world.worker()).await;
    assert!(provider.requests()[0].contains(API_KEY), "it did go out");
    let detail = world.get(&tenant, "a").await.history[0].detail.clone().unwrap();
    assert!(detail.contains(r#""secret": "[redacted]", "key": "[redacted]""#), "{detail}");
    assert_kept_without(&world, &logs, &[], &[&secret, bytes, API_KEY]).await;
}
