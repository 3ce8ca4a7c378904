//! Man pages and completions of tenantctl are what its definition generates. `BLESS=1 cargo test -p tenantctl --test
//! documents` renews them.
#![allow(clippy::unwrap_used, reason = "a step of a test that fails is a failed test")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use ctl::cli::Cli;
use model::Exit;

fn packaging(part: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging").join(part)
}

/// What each exit code means, in the order of the table in `model`.
fn meaning(exit: Exit) -> &'static str {
    match exit {
        Exit::Ok => "done",
        Exit::Usage => "the command line is wrong",
        Exit::Data => "a name, a spec, a limit or other data is wrong",
        Exit::NoInput => "no such tenant, runtime, version or file",
        Exit::Unavailable => "tenantd, systemd or the registry does not answer",
        Exit::Software => "a fault of the program; please report it",
        Exit::Os => "the operating system refused or lacks something",
        Exit::OsFile => "a system file is missing or malformed",
        Exit::CantCreate => "something exists already or cannot be made",
        Exit::Io => "reading or writing failed, full disks included",
        Exit::TempFail => "busy; try again",
        Exit::NoPermission => "not allowed",
        Exit::Config => "the configuration is wrong",
    }
}

/// All pages by file name: one for the program and one for each verb.
fn pages() -> BTreeMap<String, String> {
    let mut command = Cli::command();
    command.build();
    let mut pages = BTreeMap::new();
    collect(&command, &mut pages);
    pages
}

fn collect(command: &Command, pages: &mut BTreeMap<String, String>) {
    for verb in command.get_subcommands() {
        collect(verb, pages);
    }
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    pages.insert(format!("{name}.1"), page(command, &name));
}

fn page(command: &Command, name: &str) -> String {
    let examples = command.get_after_help().map(ToString::to_string);
    // Rendered as a section of its own below, not as help text.
    let man = Man::new(command.clone().after_help("").after_long_help(""))
        .title(name.to_uppercase())
        .source("tenantd")
        .manual("tenantd");
    let mut out = Vec::new();
    man.render_title(&mut out).unwrap();
    man.render_name_section(&mut out).unwrap();
    man.render_synopsis_section(&mut out).unwrap();
    man.render_description_section(&mut out).unwrap();
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        man.render_options_section(&mut out).unwrap();
    }
    if command.get_subcommands().next().is_some() {
        verbs(command, name, &mut out);
    }
    if let Some(examples) = examples {
        let lines: Vec<_> = examples.lines().filter(|line| *line != "Examples:").map(str::trim).collect();
        let mut roff = Roff::new();
        roff.control("SH", ["EXAMPLES"]).control("nf", []);
        for line in lines {
            roff.text([roman(line)]);
        }
        roff.control("fi", []);
        roff.to_writer(&mut out).unwrap();
    }
    if name == "tenantctl" {
        ending(&mut out);
    }
    see_also(name, &mut out);
    // The generator leaves an empty date unquoted, and man(7) then takes the next word for it.
    String::from_utf8(out).unwrap().replacen(" 1  tenantd tenantd\n", " 1 \"\" \"tenantd\" \"tenantd\"\n", 1)
}

/// Each verb with its one line and the name of its page.
fn verbs(command: &Command, name: &str, out: &mut Vec<u8>) {
    let mut roff = Roff::new();
    roff.control("SH", ["VERBS"]);
    for verb in command.get_subcommands() {
        let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
        roff.control("TP", [])
            .text([bold(format!("{name}-{}", verb.get_name())), roman("(1)")])
            .text([roman(about)]);
    }
    roff.to_writer(out).unwrap();
}

fn ending(out: &mut Vec<u8>) {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    roff.text([roman("The codes of "), bold("sysexits"), roman("(3), with one sentence on standard error:")]);
    for exit in Exit::ALL {
        roff.control("TP", []).text([bold(exit.code().to_string())]).text([roman(meaning(exit))]);
    }
    roff.control("PP", []).text([roman(
        "status ends with 3 when the tenant does not run or does not answer; exec ends as its command did; logs becomes journalctl.",
    )]);
    roff.control("SH", ["ENVIRONMENT"]);
    roff.control("TP", [])
        .text([bold("NO_COLOR")])
        .text([roman("when set and not empty, no colours are used")]);
    roff.control("SH", ["FILES"]);
    for (file, what) in [
        ("/etc/tenantd/tenantd.toml", "settings of the host"),
        ("/etc/tenantd/tenants.d/NAME.toml", "the spec of a tenant"),
        ("/usr/share/tenantd/policies/", "runtimes and policies, as shipped"),
    ] {
        roff.control("TP", []).text([clap_mangen::roff::italic(file)]).text([roman(what)]);
    }
    roff.to_writer(out).unwrap();
}

fn see_also(name: &str, out: &mut Vec<u8>) {
    let mut others = vec![
        ("tenantctl", "1"),
        ("tenantd.toml", "5"),
        ("tenantd", "8"),
        ("systemctl", "1"),
        ("journalctl", "1"),
    ];
    others.retain(|(other, _)| *other != name);
    let mut line = Vec::new();
    for (at, (other, section)) in others.iter().enumerate() {
        let comma = if at + 1 < others.len() { ", " } else { "" };
        line.extend([bold(*other), roman(format!("({section}){comma}"))]);
    }
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]).text(line);
    roff.to_writer(out).unwrap();
}

fn completions() -> BTreeMap<String, String> {
    let shells: [(&str, &dyn EnvCompleter); 3] =
        [("tenantctl.bash", &Bash), ("_tenantctl", &Zsh), ("tenantctl.fish", &Fish)];
    let script = |shell: &dyn EnvCompleter| {
        let mut out = Vec::new();
        shell.write_registration("COMPLETE", "tenantctl", "tenantctl", "tenantctl", &mut out).unwrap();
        String::from_utf8(out).unwrap().trim_end().to_owned() + "\n"
    };
    shells.into_iter().map(|(file, shell)| (file.to_owned(), script(shell))).collect()
}

/// Compares `wanted` with the files of a directory that `ours` says are generated; renews them when asked to.
fn compare(directory: &Path, wanted: &BTreeMap<String, String>, ours: impl Fn(&str) -> bool) {
    let bless = std::env::var_os("BLESS").is_some();
    let mut found: Vec<String> = std::fs::read_dir(directory)
        .map(|entries| entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect())
        .unwrap_or_default();
    found.retain(|name| ours(name));
    for name in found.iter().filter(|name| !wanted.contains_key(*name)) {
        assert!(bless, "{name} in {} belongs to no verb any more: run with BLESS=1", directory.display());
        std::fs::remove_file(directory.join(name)).unwrap();
    }
    for (name, text) in wanted {
        let path = directory.join(name);
        if bless {
            std::fs::create_dir_all(directory).unwrap();
            File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        }
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(there == *text, "{} is not what the definition generates: run with BLESS=1", path.display());
    }
}

#[test]
fn man_pages_are_what_the_definition_generates() {
    compare(&packaging("man"), &pages(), |name| name.starts_with("tenantctl"));
}

#[test]
fn completions_are_what_the_definition_generates() {
    compare(&packaging("completions"), &completions(), |name| name.contains("tenantctl"));
}

#[test]
fn every_verb_has_a_line_of_its_own_and_every_page_a_name_that_man_can_index() {
    for (file, text) in pages() {
        let name = text.split(".SH NAME\n").nth(1).unwrap().lines().next().unwrap();
        let (title, about) = name.split_once(" \\- ").unwrap_or_else(|| panic!("{file}: {name}"));
        assert_eq!(title.replace('\\', ""), file.strip_suffix(".1").unwrap());
        assert!(!about.is_empty(), "{file} has no line");
    }
}
