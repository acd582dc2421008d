//! What the repository holds itself to, where no compiler or linter does.

use std::path::{Path, PathBuf};

/// Most lines of a file.
const LINES_MAX: usize = 400;
/// Most lines of a function's `main.rs`: it wires and runs.
const MAIN_LINES_MAX: usize = 40;
/// What the pure half may not depend on, by the beginning of the crate's name.
const IMPURE: [&str; 9] =
    ["tokio", "aws", "reqwest", "axum", "lambda", "rand", "futures", "hyper", "tracing"];
/// Modules that say nothing about what is in them.
const NAMELESS: [&str; 6] = ["util", "utils", "common", "helper", "helpers", "misc"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Rust file of the workspace with its text, by its path from the root.
pub fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> =
        ["functions", "shared", "local", "tests", "bench"].map(|name| root().join(name)).into();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                found.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(found.len() > 200, "the sources were found");
    found
}

/// Fails with every file that `fault` finds something wrong with.
fn check(fault: impl Fn(&str, &str) -> Option<String>) {
    let faults: Vec<String> = sources()
        .iter()
        .filter_map(|(name, text)| fault(name, text).map(|fault| format!("{name}: {fault}")))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn files_are_short_and_begin_with_what_they_are_for() {
    check(|name, text| {
        let lines = text.lines().count();
        let most = match name.starts_with("functions/") && name.ends_with("src/main.rs") {
            true => MAIN_LINES_MAX,
            false => LINES_MAX,
        };
        (lines > most).then(|| format!("{lines} lines, and {most} are the most"))
    });
    check(|name, text| {
        let is_told = text.starts_with("//!") || name.ends_with("tests.rs");
        (!is_told).then(|| "does not begin with //!".to_owned())
    });
}

#[test]
fn modules_are_named_for_what_they_hold() {
    check(|name, _| {
        let parts = Path::new(name).with_extension("");
        let nameless = parts.iter().find(|part| NAMELESS.iter().any(|nameless| part == nameless))?;
        Some(format!("{} says nothing", nameless.display()))
    });
}

#[test]
fn nothing_is_left_for_later_and_no_test_is_left_out() {
    check(|name, text| {
        let forbidden = ["TODO", "FIXME", "XXX", "todo!(", "unimplemented!(", "#[ignore"];
        let found = forbidden.iter().find(|word| text.contains(**word))?;
        (!name.ends_with("tidy.rs")).then(|| format!("has {found}"))
    });
}

#[test]
fn decisions_stay_without_a_runtime_a_network_or_chance() {
    let manifest = std::fs::read_to_string(root().join("shared/rules/Cargo.toml")).unwrap();
    let dependencies = manifest.split("[dependencies]").nth(1).unwrap();
    let dependencies = dependencies.split("\n[").next().unwrap();
    assert!(dependencies.contains("chrono"), "the section was found");
    for line in dependencies.lines() {
        assert!(!IMPURE.iter().any(|impure| line.starts_with(impure)), "rules depends on {line}");
    }
    check(|name, text| {
        let is_async = name.starts_with("shared/rules/") && text.contains("async fn");
        is_async.then(|| "decisions do not wait".to_owned())
    });
}

#[test]
fn every_test_file_is_run() {
    let main = std::fs::read_to_string(root().join("tests/tests/it/main.rs")).unwrap();
    for (name, _) in sources() {
        let Some(module) = name.strip_prefix("tests/tests/it/").and_then(|name| name.strip_suffix(".rs"))
        else {
            continue;
        };
        if module == "main" || module.contains('/') {
            continue;
        }
        assert!(main.contains(&format!("mod {module};")), "{name} is not in main.rs");
    }
}
