//! Modules of a crate import those of lower layers alone, and no files import each other in a circle.
//!
//! Imports are the paths that begin with `crate`, `super`, `self` or the name of a child that the file declares, in `use` and
//! elsewhere, apart from `#[cfg(test)]` parts at the end of a file. A path leads to the file of the deepest module that it names.
//! What a module merely re-exports leads on to the file that it is from, so a `mod.rs` or `lib.rs` that only declares and
//! re-exports is in no circle with its children. A declaration (`mod x;`) is no import. A child may import what its parent
//! defines unless the parent imports the child.

use crate::tidy::sources;
use std::collections::{BTreeMap, BTreeSet};

/// The layers of a crate.
struct Layers {
    /// Its folder of sources.
    src: &'static str,
    /// Its modules, the lowest layer first: each may import those of the layers below.
    layers: &'static [&'static [&'static str]],
    /// Which module may import which other one of its own layer.
    beside: &'static [(&'static str, &'static str)],
    /// Modules in which files import each other still.
    circles: &'static [&'static str],
}

const CRATES: [Layers; 2] = [
    Layers {
        src: "functions/api-ingest/src/",
        layers: &[
            &["http"],
            &["context"],
            &["auth", "deletion", "parts"],
            &[
                "activities",
                "activity_results",
                "activity_types",
                "api_keys",
                "audit_log",
                "companies",
                "dispatch_configs",
                "dispatch_providers",
                "erasure",
                "notification_types",
                "notifications",
                "recurring",
                "reminder_configuration",
                "reminders",
                "server_state",
                "service",
                "settings",
                "solutions",
            ],
            &["description"],
            &["lib", "main"],
        ],
        beside: &[
            // An activity is shown with its results.
            ("activities", "activity_results"),
            // A rule, and a reminder configuration, are paused and resumed by the body with which a solution is.
            ("recurring", "server_state"),
            ("reminder_configuration", "server_state"),
            ("reminder_configuration", "audit_log"),
            ("reminders", "reminder_configuration"),
            // A solution is not deleted while reminders wait in it.
            ("solutions", "reminder_configuration"),
        ],
        circles: &[],
    },
    Layers {
        src: "shared/src/",
        layers: &[
            &["body_hash", "clock", "entropy", "page", "secret_hash", "shards", "table", "unreadable"],
            &["crypto", "queue", "signing"],
            &["outbound"],
            &["dispatch", "settings"],
            &["clients", "telemetry", "tenancy"],
            &["engine", "turns"],
            &["items", "lease", "slots"],
            &["context"],
            &["recurring", "signed_call", "sweep"],
            &["publisher", "removal"],
            &["expiry"],
            &["lib"],
        ],
        beside: &[],
        circles: &["crypto", "dispatch", "outbound", "recurring", "slots", "telemetry", "tenancy"],
    },
];

/// The files of a crate: texts without tests, by the paths of their modules, such as `http::json`; the root is ``.
struct Files(BTreeMap<String, String>);

/// Files and the files that they import, each by its module.
type Imports = BTreeMap<String, BTreeSet<String>>;

impl Files {
    /// Of the sources below `src`.
    fn below<'a>(src: &str, sources: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let module = |(name, text): (&str, &str)| {
            let name = name.strip_prefix(src)?.strip_suffix(".rs").filter(|name| !name.ends_with("tests"))?;
            // A binary's root is a crate of its own.
            let name = if name == "lib" { "" } else { name.strip_suffix("/mod").unwrap_or(name) };
            Some((name.replace('/', "::"), product(text)))
        };
        Self(sources.into_iter().filter_map(module).collect())
    }

    fn imports(&self) -> Imports {
        let of = |module: &String| {
            let paths = self.paths(module);
            let found = paths.iter().filter_map(|path| self.resolve(module, path, 0));
            found.filter(|found| found != module).collect()
        };
        self.0.keys().map(|module| (module.clone(), of(module))).collect()
    }

    /// The paths in a file that may lead to others of the crate.
    fn paths(&self, module: &str) -> Vec<Vec<String>> {
        let text = &self.0[module];
        let mut paths = uses(text);
        let heads = ["crate", "super", "self"].map(str::to_owned).into_iter().chain(children(text));
        for head in heads {
            for (at, _) in text.match_indices(&format!("{head}::")) {
                let is_whole = !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
                let path = text[at..].split(|c: char| !is_in_path(c)).next().unwrap_or_default();
                // One that ends so is the stem of a tree, of which `uses` has the paths.
                if is_whole && !path.ends_with("::") {
                    paths.push(plain_path(path));
                }
            }
        }
        paths
    }

    /// The file to which `path`, as it is written in `module`, leads; `None` for one of another crate.
    fn resolve(&self, module: &str, path: &[String], depth: usize) -> Option<String> {
        let (head, rest) = path.split_first()?;
        let (mut at, mut rest) = match head.as_str() {
            "crate" => (String::new(), rest),
            "self" => (module.to_owned(), rest),
            "super" => (parent(module), rest),
            child if children(&self.0[module]).iter().any(|other| other == child) => {
                (module.to_owned(), path)
            }
            _ => return None,
        };
        while let Some((name, after)) = rest.split_first() {
            if name == "super" {
                at = parent(&at);
            } else if self.0.contains_key(&join(&at, name)) {
                at = join(&at, name);
            } else {
                let leads_on = |used: &Vec<String>| used.last() == Some(name) && depth < 8;
                let used = uses(&self.0[&at]).into_iter().filter(leads_on);
                let found = used.filter_map(|used| self.resolve(&at, &used, depth + 1)).next();
                return Some(found.unwrap_or(at));
            }
            rest = after;
        }
        Some(at)
    }
}

/// A file without comments and without what is for tests.
fn product(text: &str) -> String {
    let is_tests = |at: &usize| {
        let item = text[*at..].trim_start_matches("\n#[cfg(test)]\n");
        let item = item.strip_prefix("pub(crate) ").unwrap_or(item);
        item.strip_prefix("mod ")
            .is_some_and(|module| !module.lines().next().unwrap_or_default().ends_with(';'))
    };
    let tests = text.match_indices("\n#[cfg(test)]\n").map(|(at, _)| at).find(is_tests);
    let text = &text[..tests.unwrap_or(text.len())];
    let code = |line: &str| line.split("//").next().unwrap_or_default().to_owned() + "\n";
    text.lines().map(code).collect()
}

/// The modules that a file declares.
fn children(text: &str) -> Vec<String> {
    let declared = text.lines().filter_map(|line| line.trim().strip_suffix(';')?.rsplit_once("mod "));
    declared.map(|(_, name)| name.to_owned()).collect()
}

fn parent(module: &str) -> String {
    module.rsplit_once("::").map_or("", |(parent, _)| parent).to_owned()
}

fn join(module: &str, name: &str) -> String {
    if module.is_empty() { name.to_owned() } else { format!("{module}::{name}") }
}

fn is_in_path(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == ':'
}

/// The path at the beginning of `text`.
fn plain_path(text: &str) -> Vec<String> {
    let path = text.split(|c: char| !is_in_path(c)).next().unwrap_or_default();
    path.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The paths of all `use` items, each to its end; of one that is renamed the path, too.
fn uses(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for item in text.split(';') {
        let mut words = item.split_whitespace().peekable();
        let begins = item.rfind("use ").filter(|at| {
            let before = item[..*at].trim_end();
            before.is_empty()
                || before.ends_with(['}', ']', ')'])
                || before.ends_with("pub")
                || before.ends_with('{')
        });
        if let (Some(at), Some(_)) = (begins, words.peek()) {
            expand(item[at + 4..].trim(), &[], &mut found);
        }
    }
    found
}

/// Adds the paths of a tree such as `a::{b, c::{d, self}}` below `before`.
fn expand(tree: &str, before: &[String], found: &mut Vec<Vec<String>>) {
    let (path, group) = tree.split_once('{').unwrap_or((tree, ""));
    let mut all = before.to_vec();
    all.extend(plain_path(path.trim()));
    if group.is_empty() {
        if all.len() > 1 && all.last().is_some_and(|name| name == "self") {
            all.pop();
        }
        return found.push(all);
    }
    let (mut depth, mut part) = (0, String::new());
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                expand(std::mem::take(&mut part).trim(), &all, found);
                continue;
            }
            _ => {}
        }
        part.push(c);
    }
    if !part.trim().is_empty() {
        expand(part.trim(), &all, found);
    }
}

/// The sets of more than one file that lead to each other.
fn circles(imports: &Imports) -> Vec<BTreeSet<&str>> {
    let reach = |from: &str| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(module) = open.pop() {
            let next = imports.get(&module).into_iter().flatten();
            open.extend(next.filter(|next| seen.insert((*next).clone())).cloned().collect::<Vec<_>>());
        }
        seen
    };
    let reached: BTreeMap<&str, BTreeSet<String>> =
        imports.keys().map(|module| (module.as_str(), reach(module))).collect();
    let circle = |module: &&str| -> BTreeSet<&str> {
        let back = |other: &&&str| reached[**other].contains(*module) && reached[*module].contains(**other);
        reached.keys().filter(back).copied().collect()
    };
    let found: BTreeSet<_> = reached.keys().map(circle).filter(|circle| circle.len() > 1).collect();
    found.into_iter().collect()
}

/// The module of the crate in which a file stands.
fn top(module: &str) -> &str {
    if module.is_empty() { "lib" } else { module.split("::").next().unwrap_or_default() }
}

/// What is wrong with the imports of a crate.
fn faults(rules: &Layers, imports: &Imports) -> Vec<String> {
    let layer = |module: &str| rules.layers.iter().position(|layer| layer.contains(&top(module)));
    let mut faults = Vec::new();
    let mut ended: BTreeSet<_> = rules.circles.iter().copied().collect();
    for circle in circles(imports) {
        let within: BTreeSet<_> = circle.iter().map(|module| top(module)).collect();
        ended.retain(|module| !within.contains(module));
        if within.len() > 1 || !within.iter().all(|module| rules.circles.contains(module)) {
            faults.push(format!("these import each other: {circle:?}"));
        }
    }
    faults.extend(ended.iter().map(|module| format!("no files of {module} import each other any longer")));
    let mut unused: BTreeSet<_> = rules.beside.iter().collect();
    for (module, imported) in imports {
        let Some(own) = layer(module) else {
            faults.push(format!("{module} is in no layer"));
            continue;
        };
        for other in imported.iter().filter(|other| top(other) != top(module)) {
            let beside = (top(module), top(other));
            unused.remove(&beside);
            if layer(other).is_none_or(|other| other >= own) && !rules.beside.contains(&beside) {
                faults.push(format!("{module} imports {other}"));
            }
        }
    }
    faults.extend(unused.iter().map(|(module, other)| format!("{module} need not import {other}")));
    faults
}

#[test]
fn layers_import_lower_ones_and_no_files_each_other() {
    let sources = sources();
    for rules in &CRATES {
        let named = sources.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        let imports = Files::below(rules.src, named).imports();
        assert!(imports.values().map(BTreeSet::len).sum::<usize>() > 100, "the imports were found");
        let faults = faults(rules, &imports);
        assert!(faults.is_empty(), "{}\n{}", rules.src, faults.join("\n"));
    }
}

/// A small crate in which each line of a file is an import, to see that what is forbidden is found.
#[test]
fn what_is_forbidden_is_found() {
    let rules = Layers {
        src: "src/",
        layers: &[&["low"], &["one", "two", "three"], &["lib"]],
        beside: &[("two", "one"), ("three", "one")],
        circles: &[],
    };
    let check = |files: &[(&str, &str)], expect: &[&str]| {
        let files = files.iter().copied().chain([("src/three.rs", "use crate::one::{self, x};")]);
        assert_eq!(faults(&rules, &Files::below("src/", files).imports()), expect);
    };
    let facade = ("src/low/mod.rs", "mod a;\nmod b;\npub use b::{B, C as D};\npub use a::A;");
    let (a, b) = (("src/low/a.rs", "use super::B;"), ("src/low/b.rs", "use std::fmt;"));
    let (one, two) = (("src/one.rs", "use crate::low::A;"), ("src/two.rs", "let x = crate::one::f();"));
    let root = ("src/lib.rs", "mod low;\nmod one;\npub use low::A;\nfn f() {}");
    check(&[root, facade, a, b, one, two], &[]);
    let upward = ("src/low/b.rs", "fn f() { crate::one::g() } // crate::two");
    let circle = r#"these import each other: {"low::a", "low::b", "one"}"#;
    check(&[root, facade, a, upward, one, two], &[circle, "low::b imports one"]);
    let through_root = ("src/low/b.rs", "use crate::{\n    A,\n};");
    check(&[root, facade, a, through_root, one, two], &[r#"these import each other: {"low::a", "low::b"}"#]);
    let root_item = ("src/low/b.rs", "#[cfg(test)]\nuse crate::{f};");
    check(
        &[root, facade, a, root_item, one, two],
        &[r#"these import each other: {"", "low::a", "low::b"}"#, "low::b imports "],
    );
    let unlisted = ("src/four.rs", "use super::low::b::B;\n\n#[cfg(test)]\nmod tests { use crate::one; }");
    check(&[root, facade, a, b, one, two, unlisted], &["four is in no layer"]);
    check(&[root, facade, a, b, one, ("src/two.rs", "use std::one::f;")], &["two need not import one"]);
}
