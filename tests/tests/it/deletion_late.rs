//! Deletions and creations of which one stands still for so long that much else happens meanwhile, and what is repeated after it died
//! ([`rules::parent`]).

use crate::api::{Api, S};
use crate::deletion_races::{
    CALLS_MAX, CHILD, CONFIGURATION, Pair, activity, ask, create, delete, is_accepted, judge, notification,
    pair, reminder, rule, staged, waiting, warm,
};
use serde_json::{Value, json};
use shared::context::Context;
use tests::steps::{Steps, Stop};

/// How many calls a creation makes at most between its write and its answer.
const FURTHER_MAX: usize = 8;

/// The creator stands still before each of its calls until the parent is deleted, goes on, and dies after each further one.
async fn dies_late(pair: Pair) {
    let mut died = 0;
    for frozen in (0..CALLS_MAX).map(|call| Stop { call, after: false }) {
        for further in 0..FURTHER_MAX {
            let api = staged(&pair).await;
            let (steps, clients) = Steps::of(api.world.embedded.clients(), frozen);
            let mut created = Box::pin(create(api.world.process_with(clients), &pair));
            tokio::select! {
                biased;
                () = steps.stopped() => {}
                _ = &mut created => {
                    assert!(died > 5, "{died}");
                    return;
                }
            }
            let deleted = delete(api.world.process(), &pair).await;
            steps.go_on_to(Stop { call: frozen.call + further, after: true });
            let has_died = tokio::select! {
                biased;
                () = steps.stopped() => true,
                _ = &mut created => false,
            };
            if !has_died {
                break;
            }
            drop(created);
            died += 1;
            judge(&api, &pair, Some(deleted), None, &format!("{} {frozen:?} {further}", pair.path)).await;
        }
    }
    panic!("a creation makes more calls than {CALLS_MAX}");
}

#[tokio::test]
async fn an_activity_whose_creator_dies_late() {
    dies_late(pair("activity-types/play", "POST", "activities", activity())).await;
}

#[tokio::test]
async fn a_batch_whose_creator_dies_late() {
    let batch = json!({"activities": [activity()]});
    dies_late(pair("activity-types/play", "POST", "activities/batch", batch)).await;
}

#[tokio::test]
async fn a_rule_whose_creator_dies_late() {
    dies_late(pair("activity-types/play", "PUT", &format!("recurring-activities/{CHILD}"), rule())).await;
}

#[tokio::test]
async fn a_notification_whose_creator_dies_late() {
    dies_late(pair("notification-types/news", "POST", "notifications", notification())).await;
}

#[tokio::test]
async fn a_reminder_whose_creator_dies_late() {
    dies_late(pair(CONFIGURATION, "PUT", &format!("/api/reminder/acme/main/{CHILD}"), reminder())).await;
}

/// The first call of a process that has `text` in its request.
async fn call_with(api: &Api, text: &str, asks: impl AsyncFnOnce(Context)) -> Stop {
    let (steps, clients) = Steps::of(api.world.embedded.clients(), Stop::NEVER);
    asks(api.world.process_with(clients)).await;
    let call = steps.asked().iter().position(|asked| asked.body.to_string().contains(text));
    Stop { call: call.unwrap_or_else(|| panic!("no call with {text}")), after: false }
}

/// A creator writes late, when the deletion is about to delete the parent, and dies. Its request is repeated in a process that has read the
/// parent just before that.
async fn is_repeated_meanwhile(pair: Pair, of_child: &str) {
    let writes = call_with(&staged(&pair).await, of_child, async |ctx| drop(create(ctx, &pair).await)).await;
    let deletes =
        call_with(&staged(&pair).await, "\"Delete\"", async |ctx| drop(delete(ctx, &pair).await)).await;
    let api = staged(&pair).await;
    let process = |stop| {
        let (steps, clients) = Steps::of(api.world.embedded.clients(), stop);
        (steps, api.world.process_with(clients))
    };
    let ((creates, creator), (deletion, deleter)) = (process(writes), process(deletes));
    let mut created = Box::pin(create(creator, &pair));
    tokio::select! { biased; () = creates.stopped() => {}, answer = &mut created => panic!("{}", answer.text) }
    let mut deleted = Box::pin(delete(deleter, &pair));
    tokio::select! { biased; () = deletion.stopped() => {}, answer = &mut deleted => panic!("{}", answer.text) }
    creates.go_on_to(Stop { after: true, ..writes });
    tokio::select! { biased; () = creates.stopped() => {}, answer = &mut created => panic!("{}", answer.text) }
    drop(created);
    let repeats = api.world.process();
    warm(&repeats).await;
    deletion.go_on();
    deleted.await.expect(204);
    let repeated = create(repeats, &pair).await;
    assert!(repeated.status < 500 && !is_accepted(&repeated), "{}", repeated.text);
}

#[tokio::test]
async fn what_is_repeated_while_its_parent_is_deleted() {
    let play = "activity-types/play";
    is_repeated_meanwhile(pair(play, "POST", "activities", activity()), "INSERT").await;
    let path = format!("recurring-activities/{CHILD}");
    is_repeated_meanwhile(pair(play, "PUT", &path, rule()), "\"Put\"").await;
    let news = "notification-types/news";
    is_repeated_meanwhile(pair(news, "POST", "notifications", notification()), "INSERT").await;
}

/// A deletion stands still before each of its calls, while another one deletes the parent, its owner makes it again and changes it,
/// and something is accepted below it. What it goes on to delete is not that one.
async fn is_overtaken(pair: Pair, made: [Value; 2]) {
    for frozen in (0..CALLS_MAX).map(|call| Stop { call, after: false }) {
        let api = staged(&pair).await;
        let (steps, clients) = Steps::of(api.world.embedded.clients(), frozen);
        let mut first = Box::pin(delete(api.world.process_with(clients), &pair));
        tokio::select! {
            biased;
            () = steps.stopped() => {}
            answer = &mut first => panic!("{frozen:?} {}", answer.text),
        }
        let second = delete(api.world.process(), &pair).await;
        if second.status == 404 {
            // The first has deleted it already.
            assert!(frozen.call > 5, "{frozen:?}");
            return;
        }
        second.expect(204);
        for (body, status) in made.iter().zip([201, 200]) {
            api.put(&pair.parent, body.clone()).await.expect(status);
        }
        let created = create(api.world.process(), &pair).await;
        assert!(is_accepted(&created), "{frozen:?} {}", created.text);
        steps.go_on();
        let answer = first.await;
        assert!([404, 409].contains(&answer.status), "{frozen:?} {}", answer.text);
        api.get(&pair.parent).await.expect(200);
        assert!(!waiting(&api.world).await.is_empty(), "{frozen:?}");
    }
    panic!("a deletion makes more calls than {CALLS_MAX}");
}

#[tokio::test]
async fn an_activity_type_made_again_meanwhile() {
    let made = [1, 2].map(
        |retries| json!({"verb": "POST", "uriPattern": "https://songs.example/{SongId}", "retries": retries}),
    );
    is_overtaken(pair("activity-types/play", "POST", "activities", activity()), made).await;
}

#[tokio::test]
async fn a_notification_type_made_again_meanwhile() {
    // Nothing listens there, so that it waits.
    let made = [1, 2].map(|retries| json!({"uri": "http://127.0.0.1:9/news", "maxRetries": retries}));
    is_overtaken(pair("notification-types/news", "POST", "notifications", notification()), made).await;
}

/// A configuration with a `webhookUrl` needs the type by which webhooks are sent: it is refused, or the deletion of the type is.
#[tokio::test]
async fn a_configuration_and_the_type_of_its_webhooks() {
    let configuration = |url: Option<&str>| json!({"notificationKey": "k", "accountCode": "a", "dialogServiceUri": "https://d.example", "webhookUrl": url});
    let of_type = format!("{S}/activity-types/reminder-webhook");
    let with_webhook = configuration(Some("https://hook.example"));
    let mut both = [0, 0];
    for puts_first in [true, false] {
        for stop in Stop::all(CALLS_MAX) {
            let api = staged(&pair(&of_type, "PUT", CONFIGURATION, Value::Null)).await;
            api.put(CONFIGURATION, with_webhook.clone()).await.expect(200);
            api.put(CONFIGURATION, configuration(None)).await.expect(200);
            let (steps, clients) = Steps::of(api.world.embedded.clients(), stop);
            let stopping = Api::router_on(api.world.process_with(clients));
            let put = |router| ask(router, "PUT", CONFIGURATION, &with_webhook);
            let delete = |router| ask(router, "DELETE", &of_type, &Value::Null);
            let (put, deleted) = if puts_first {
                let mut put = Box::pin(put(stopping));
                tokio::select! { biased; () = steps.stopped() => {}, _ = &mut put => break }
                let deleted = delete(api.other_process()).await;
                steps.go_on();
                (put.await, deleted)
            } else {
                let mut deleted = Box::pin(delete(stopping));
                tokio::select! { biased; () = steps.stopped() => {}, _ = &mut deleted => break }
                let put = put(api.other_process()).await;
                steps.go_on();
                (put, deleted.await)
            };
            let what = format!("{puts_first} {stop:?}: put {} deleted {}", put.status, deleted.status);
            assert!(put.status < 500 && deleted.status < 500, "{what}");
            let is_needed = api.get(CONFIGURATION).await.expect(200).json["webhookUrl"].is_string();
            let is_there = api.get(&of_type).await.status == 200;
            assert!(is_there || !is_needed, "{what}");
            both[usize::from(is_there)] += 1;
        }
    }
    assert!(both.iter().all(|count| *count > 2), "{both:?}");
}
