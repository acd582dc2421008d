use super::*;
use crate::clock::LocalClock;
use crate::embedded::{Embedded, EmbeddedError, Options};
use chrono::TimeDelta;
use std::sync::Arc;

const SMALL: &str = r#"
Parameters:
  Shards: { Type: Number, Default: 4 }
  Secret: { Type: String }
  Subnets: { Type: CommaDelimitedList, Default: "" }
  Groups: { Type: "List<AWS::EC2::SecurityGroup::Id>", Default: "sg-1, sg-2" }
Conditions:
  Many: !Not [!Equals [!Ref Shards, 1]]
  Never: !Equals [a, b]
  InNoVpc: !Equals [!Join ["", !Ref Subnets], ""]
Globals:
  Function:
    Timeout: 20
    Environment:
      Variables:
        TABLE: !Ref Table
        QUEUE: !Ref Queue
        KEY: !GetAtt Key.Arn
        SHARDS: !Ref Shards
Resources:
  Api: { Type: AWS::Serverless::HttpApi }
  Ignored: { Type: AWS::IAM::Role, Properties: { Any: !ImportValue thing } }
  Left: { Type: AWS::SQS::Queue, Condition: Never }
  Work:
    Type: AWS::Serverless::Function
    Metadata: { BuildProperties: { Binary: worker } }
    Properties:
      CodeUri: .
      Timeout: 90
      Policies: [!GetAtt Nobody.Arn]
      Environment:
        Variables:
          SECRET: !Ref Secret
          NAME: !Sub "${AWS::StackName}/${Queue.QueueName}/${!literal}"
          WHICH: !If [Many, several, one]
          VPC: !If [InNoVpc, none, some]
          GROUPS: !Join ["+", !Ref Groups]
          GONE: !Join ["-", [a, !Ref "AWS::Region"]]
      Events:
        Due:
          Type: SQS
          Properties:
            Queue: !GetAtt Queue.Arn
            BatchSize: 5
            FunctionResponseTypes: [ReportBatchItemFailures]
            ScalingConfig: { MaximumConcurrency: 7 }
        Often: { Type: Schedule, Properties: { Schedule: rate(5 minutes), Input: '{"a":1}' } }
        Off: { Type: ScheduleV2, Properties: { ScheduleExpression: rate(1 day), State: DISABLED } }
  Sweep:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/sweep/
      Events:
        Minute: { Type: ScheduleV2, Properties: { ScheduleExpression: rate(1 minute) } }
        All: { Type: HttpApi, Properties: { Path: / } }
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimeout: 120
      RedrivePolicy: { deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 2 }
  Dead: { Type: AWS::SQS::Queue, Properties: { QueueName: dead-letters } }
  Key: { Type: AWS::KMS::Key }
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      AttributeDefinitions:
        - { AttributeName: PK, AttributeType: S }
        - { AttributeName: gp, AttributeType: S }
      KeySchema: [{ AttributeName: PK, KeyType: HASH }]
      GlobalSecondaryIndexes:
        - IndexName: by-gp
          KeySchema: [{ AttributeName: gp, KeyType: HASH }]
          Projection: { ProjectionType: KEYS_ONLY }
      TimeToLiveSpecification: { AttributeName: ttl, Enabled: true }
"#;

fn options(text: &str) -> Options {
    Options {
        data_dir: None,
        base_url: "http://127.0.0.1:4566".to_owned(),
        template: Arc::new(Template::parse(text).unwrap()),
        parameters: BTreeMap::from([("Secret".to_owned(), "s3cret".to_owned())]),
    }
}

async fn start(options: Options) -> Result<Embedded, EmbeddedError> {
    let clock = LocalClock::frozen(rules::time::from_millis(1_800_000_000_000).unwrap());
    Embedded::start(options, Arc::new(clock)).await
}

#[tokio::test]
async fn functions_are_read_with_everything_resolved() {
    let embedded = start(options(SMALL)).await.unwrap();
    let functions = &embedded.provisioned().functions;
    let [sweep, work] = functions.as_slice() else { panic!("two functions, not {functions:?}") };
    assert_eq!((sweep.name.as_str(), sweep.timeout.as_secs(), sweep.http), ("sweep", 20, true));
    assert_eq!(sweep.schedules[0].every, TimeDelta::minutes(1));
    assert_eq!((work.name.as_str(), work.timeout.as_secs(), work.http), ("worker", 90, false));
    assert_eq!(work.schedules.len(), 1);
    assert_eq!(work.schedules[0].input, Some(serde_json::json!({ "a": 1 })));
    let trigger = &work.queues[0];
    assert_eq!((trigger.queue.as_str(), trigger.batch_size), ("punctual-Queue", 5));
    assert_eq!((trigger.maximum_concurrency, trigger.partial_responses), (7, true));

    let environment = embedded.settings("worker");
    assert_eq!(environment["TABLE"], "punctual-Table");
    assert_eq!(environment["QUEUE"], "http://127.0.0.1:4566/123456789012/punctual-Queue");
    assert!(environment["KEY"].starts_with("arn:aws:kms:us-east-1:123456789012:key/"));
    assert_eq!(environment["SHARDS"], "4");
    assert_eq!(environment["SECRET"], "s3cret");
    assert_eq!(environment["NAME"], "punctual/punctual-Queue/${literal}");
    assert_eq!(environment["WHICH"], "several");
    assert_eq!((environment["VPC"].as_str(), environment["GROUPS"].as_str()), ("none", "sg-1+sg-2"));
    assert_eq!(environment["GONE"], "a-us-east-1");
    assert!(embedded.settings("nobody").is_empty());
    assert_eq!(embedded.provisioned().queue_urls.len(), 2);
}

#[tokio::test]
async fn tables_and_keys_outlive_a_restart_and_a_changed_table_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let on_disk = |text: &str| Options { data_dir: Some(dir.path().to_owned()), ..options(text) };
    let first = start(on_disk(SMALL)).await.unwrap().settings("worker");
    let second = start(on_disk(SMALL)).await.unwrap().settings("worker");
    assert_eq!(first, second);
    let changed = start(on_disk(&SMALL.replace("by-gp", "other"))).await.err().unwrap();
    assert!(changed.to_string().contains("punctual-Table has other keys or indexes"), "{changed}");
}

#[tokio::test]
async fn faults_name_the_resource() {
    for (good, bad, expected) in [
        (
            "TABLE: !Ref Table",
            "TABLE: !Ref Tible",
            "Sweep: environment variable TABLE: !Ref Tible refers to nothing",
        ),
        ("!GetAtt Dead.Arn", "!GetAtt Dead.Url", "Queue: RedrivePolicy: !GetAtt Dead.Url refers to nothing"),
        ("rate(5 minutes)", "cron(0 1 * * *)", "Work: event Often: 'cron(0 1 * * *)' is not a rate"),
        ("BatchSize: 5", "BatchSize: 50", "Work: event Due: BatchSize must be from 1 to 10"),
        ("Timeout: 90", "Timeout: 9000", "Work: Timeout must be from 1 to 900 seconds"),
        (
            "WHICH: !If [Many, several, one]",
            &format!("WHICH: {}", "x".repeat(4_096)),
            "Work: its environment variables have",
        ),
        ("CodeUri: functions/sweep/", "CodeUri: .", "Sweep: Sweep names no binary"),
        ("!If [Many,", "!If [Mony,", "Work: environment variable WHICH: no condition is called Mony"),
        (
            "GONE: !Join [",
            "GONE: !FindInMap [",
            "Work: environment variable GONE: local mode does not know !FindInMap",
        ),
        (
            "Shards: { Type: Number, Default: 4 }",
            "Shards: { Type: Number }",
            "the parameter Shards has no value",
        ),
    ] {
        assert!(SMALL.contains(good), "{good}");
        let error = start(options(&SMALL.replace(good, bad))).await.err().unwrap().to_string();
        assert!(error.contains(expected), "{error}\nwanted: {expected}");
    }
    assert!(Template::parse("Resources: [").is_err());
}

#[tokio::test]
async fn the_projects_template_gives_every_function_its_settings() {
    let embedded = start(Options::in_memory().unwrap()).await.unwrap();
    for function in ["api-ingest", "dispatch-sweep", "delivery-worker"] {
        let environment = embedded.settings(function);
        let settings = shared::settings::Settings::read(&|name| environment.get(name).cloned());
        assert!(settings.is_ok(), "{function}: {settings:?}");
    }
}
