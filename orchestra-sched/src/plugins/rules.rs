//! Checks the table of rules against the sources.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

const TABLE: &str = include_str!("rules.md");

/// A plugin's part of the table.
struct Section<'a> {
    title: &'a str,
    /// Where its tests are: files, or folders of them.
    places: Vec<&'a str>,
    /// The rules with the tests that show them.
    rows: Vec<(&'a str, Vec<&'a str>)>,
}

fn sections() -> Vec<Section<'static>> {
    TABLE.split("\n## ").skip(1).map(section).collect()
}

fn section(text: &'static str) -> Section<'static> {
    let title = text.lines().next().unwrap_or_default();
    let places = text.lines().find(|line| line.starts_with("Tests in ")).map(quoted).unwrap_or_default();
    let rows = text.lines().filter(|line| line.starts_with("| ") && *line != "| rule | test |");
    let row = |line: &'static str| {
        let (rule, tests) = line.trim_matches(['|', ' ']).rsplit_once(" | ").unwrap_or((line, ""));
        (rule, quoted(tests))
    };
    Section { title, places, rows: rows.map(row).collect() }
}

/// What stands in backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The names of the tests in a file, or in the files of a folder.
fn tests_in(place: &Path) -> io::Result<BTreeSet<String>> {
    if place.is_dir() {
        let entries: io::Result<Vec<PathBuf>> = fs::read_dir(place)?.map(|entry| Ok(entry?.path())).collect();
        let of_each: io::Result<Vec<_>> = entries?.iter().map(|path| tests_in(path)).collect();
        return Ok(of_each?.into_iter().flatten().collect());
    }
    Ok(test_names(&fs::read_to_string(place)?))
}

/// The functions behind an attribute that makes them tests, or in proptest's macro.
fn test_names(source: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut is_test = false;
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some(rest) = line.trim_start_matches("async ").strip_prefix("fn ") {
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if std::mem::take(&mut is_test) {
                names.insert(name);
            }
        }
    }
    names
}

#[test]
fn each_rule_is_shown_by_tests_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for Section { title, places, rows } in sections() {
        let found: BTreeSet<String> = places
            .iter()
            .flat_map(|place| tests_in(&root.join(place)).unwrap_or_else(|error| panic!("{title}: {place}: {error}")))
            .collect();
        assert!(!rows.is_empty(), "{title} has no rules");
        for (rule, tests) in rows {
            assert!(!tests.is_empty(), "{title}: no test shows that: {rule}");
            for test in tests {
                assert!(found.contains(test), "{title}: there is no test {test} in {places:?} to show that: {rule}");
            }
        }
    }
}

#[test]
fn each_default_plugin_has_rules() {
    let titles: BTreeSet<&str> = sections().iter().map(|section| section.title).collect();
    for (plugin, _) in super::default_plugins() {
        assert!(titles.contains(plugin.name()), "rules.md says nothing of {}", plugin.name());
    }
}

#[test]
fn functions_that_are_no_tests_do_not_count() {
    let source =
        "fn a() {}\n#[test]\nfn b() {}\n    #[tokio::test(start_paused = true)]\n    async fn c() {}\nfn d() {}";
    assert_eq!(test_names(source), ["b", "c"].map(str::to_owned).into());
}
