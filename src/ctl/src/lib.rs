//! `tenantctl`, all but its `main`: parse, ask tenantd or look for oneself, print, end with a sysexits code.
//!
//! Every verb works on a [`Session`], so that a test gives it other streams, another root and another bus.
#![forbid(unsafe_code)]

mod agent;
mod apply;
mod approvals;
mod backup;
mod change;
mod check;
pub mod cli;
mod complete;
mod conceal;
mod confirm;
mod create;
mod delete;
mod doctor;
mod edge;
mod egress;
mod exec;
mod failure;
mod inference;
mod list;
mod logs;
mod offline;
mod output;
mod progress;
mod roles;
mod runtime;
mod secret;
mod session;
mod settings;
mod status;
mod supervise;
mod token;
mod tty;
mod usage;
mod vault;
mod widening;

use std::error::Error as _;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};
use clap_complete::CompleteEnv;
use model::Exit;

pub use agent::Agent;
use cli::{Cli, Verb};
pub use exec::Streams;
pub use failure::{Ended, Failure};
pub use output::Palette;
pub use session::{Bus, Session, Terminals};

/// The whole program.
pub fn main() -> ExitCode {
    CompleteEnv::with_factory(Cli::command).complete();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error, arguments.iter().any(|argument| argument == "--json")),
    };
    let mut session = Session::of_process(&cli);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => {
            let ended = runtime.block_on(run(cli.verb, &mut session));
            // A thread may still sit in a read of the operator's terminal.
            runtime.shutdown_background();
            ended
        }
        Err(error) => Err(Failure::new(Exit::Os, format!("cannot start: {error}: see \"ulimit -a\""))),
    };
    session.close(ended).into()
}

/// Carries one verb out.
pub async fn run(verb: Verb, session: &mut Session) -> Ended {
    match verb {
        Verb::Create(arguments) => create::create(session, &arguments).await,
        Verb::List => list::list(session).await,
        Verb::Status { tenant: None } => list::list(session).await,
        Verb::Status { tenant: Some(tenant) } => status::status(session, &tenant).await,
        Verb::Start(which) => supervise::each(session, &which, supervise::Act::Start).await,
        Verb::Stop { now, tenants } => supervise::each(session, &tenants, supervise::Act::Stop { now }).await,
        Verb::Sleep(which) => supervise::each(session, &which, supervise::Act::Sleep).await,
        Verb::Restart(which) => supervise::each(session, &which, supervise::Act::Restart).await,
        Verb::Enable(which) => supervise::each(session, &which, supervise::Act::Enable(true)).await,
        Verb::Disable(which) => supervise::each(session, &which, supervise::Act::Enable(false)).await,
        Verb::Set(arguments) => change::set(session, &arguments).await,
        Verb::Apply(arguments) => apply::apply(session, &arguments).await,
        Verb::Plan(arguments) => offline::plan(session, &arguments),
        Verb::Check { files } => check::check(session, &files),
        Verb::Explain(arguments) => offline::explain(session, &arguments).await,
        Verb::Logs { tenant, arguments } => logs::logs(&tenant, &arguments),
        Verb::Exec(arguments) => exec::exec(session, arguments).await,
        Verb::Repair { tenant, dry_run, consent } => change::repair(session, &tenant, dry_run, consent).await,
        Verb::Delete(arguments) => delete::delete(session, &arguments).await,
        Verb::Backup(arguments) => backup::backup(session, &arguments).await,
        Verb::Restore(arguments) => backup::restore(session, &arguments).await,
        Verb::Runtime(verb) => runtime::runtime(session, verb).await,
        Verb::Secret(verb) => secret::secret(session, verb).await,
        Verb::Vault(verb) => vault::vault(session, verb).await,
        Verb::Edge(verb) => edge::edge(session, verb).await,
        Verb::Egress(verb) => egress::egress(session, verb).await,
        Verb::Approvals(verb) => approvals::approvals(session, verb).await,
        Verb::Inference(verb) => inference::inference(session, verb).await,
        Verb::Usage { tenant } => usage::usage(session, tenant.as_ref()).await,
        Verb::Token(verb) => token::token(session, verb).await,
        Verb::Login(arguments) => token::login(session, &arguments).await,
        Verb::Roles => roles::roles(session),
        Verb::Doctor => doctor::doctor(session).await,
    }
}

/// Says what is wrong with the command line. A value that is well placed but wrong is bad data, not bad usage.
fn refuse(error: &clap::Error, json: bool) -> ExitCode {
    let (exit, message) = verdict(error);
    let printed = match (exit, json) {
        (Exit::Ok, _) => error.print(),
        (_, true) => {
            let document = serde_json::json!({"error": {"exit": exit.code(), "message": message}});
            writeln!(io::stderr(), "{}", output::escape_controls(&document.to_string()))
        }
        (Exit::Data, false) => writeln!(io::stderr(), "tenantctl: {}", output::clean_lines(&message)),
        (_, false) => error.print(),
    };
    // Nobody is left to be told when standard error is gone too.
    drop(printed);
    exit.into()
}

/// Exit code and sentence of an error of the command line.
fn verdict(error: &clap::Error) -> (Exit, String) {
    if error.exit_code() == 0 {
        return (Exit::Ok, String::new());
    }
    if let (ErrorKind::ValueValidation, Some(cause)) = (error.kind(), error.source()) {
        let option = match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::String(name)) if name.starts_with("--") => {
                format!("{}: ", name.split(' ').next().unwrap_or_default())
            }
            Some(_) | None => String::new(),
        };
        return (Exit::Data, format!("{option}{cause}"));
    }
    let text = error.render().to_string();
    let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    (Exit::Usage, format!("{first}; see \"tenantctl --help\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &str) -> (u8, String) {
        let error = Cli::try_parse_from(line.split(' ')).unwrap_err();
        let (exit, message) = verdict(&error);
        (exit.code(), message)
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn wrong_values_are_bad_data_with_one_sentence() {
        for (line, sentence) in [
            ("tenantctl create Acme --runtime x", "tenant name \"Acme\" is not of the form"),
            ("tenantctl status a_b", "tenant name \"a_b\" is not of the form"),
            ("tenantctl create root --runtime x", "tenant name \"root\" is reserved"),
            ("tenantctl create a --runtime x --memory-max 1g", "--memory-max: \"1g\" is not a size"),
            ("tenantctl create a --runtime x --memory-max -1", "--memory-max: \"-1\" is not a size"),
            ("tenantctl create a --runtime x --cpu-quota 2", "--cpu-quota: \"2\" is not a CPU quota"),
            ("tenantctl create a --runtime x --tasks-max -5", "--tasks-max: \"-5\" is not a whole number"),
            ("tenantctl create a --runtime x --port 80", "--port: \"80\" is not a port"),
            ("tenantctl create a --runtime x --port -1", "--port: \"-1\" is not a port"),
            ("tenantctl create a --runtime x --env X", "--env: \"X\" is no assignment"),
            (
                "tenantctl create a --runtime x --accept-missing all",
                "--accept-missing: \"all\" is no protection",
            ),
            ("tenantctl token issue a --role admin", "--role: \"admin\" is no role"),
            ("tenantctl token issue a --role owner --ttl 25h", "--ttl: \"25h\" is not how long"),
            ("tenantctl token issue a --role owner --ttl 1", "--ttl: \"1\" is not how long"),
            ("tenantctl token issue a --role owner --ttl 0s", "--ttl: \"0s\" is not how long"),
            ("tenantctl token issue a --role owner --ttl é", "--ttl: \"é\" is not how long"),
            ("tenantctl approvals approve 12", "\"12\" is no request"),
            ("tenantctl approvals approve 12-3f9a2b1c4d5e --for 8", "--for: \"8\" is not how long"),
            ("tenantctl approvals approve 12-3f9a2b1c4d5e --until x", "--until: \"x\" is not when"),
            ("tenantctl egress bind a b --to c --in cookie", "--in: \"cookie\" is no place"),
            (
                "tenantctl inference add a --provider b --model c --budget-day 5eur",
                "--budget-day: \"5eur\" is no amount",
            ),
            ("tenantctl login A", "tenant name \"A\" is not of the form"),
            ("tenantctl set a limits.memory_max", "\"limits.memory_max\" is no assignment"),
        ] {
            let (exit, message) = refused(line);
            assert_eq!(exit, 65, "{line}: {message}");
            assert!(message.starts_with(sentence), "{line}: {message}");
        }
    }

    #[test]
    fn wrong_command_lines_are_bad_usage() {
        for line in [
            "tenantctl",
            "tenantctl frobnicate",
            "tenantctl create acme",
            "tenantctl create acme --file x --runtime y",
            "tenantctl create acme --file x --memory-max 1G",
            "tenantctl create acme --runtime x --command y -- z",
            "tenantctl start",
            "tenantctl exec acme",
            "tenantctl exec acme id",
            "tenantctl apply acme.toml",
            "tenantctl explain acme --file x",
            "tenantctl runtime install",
            "tenantctl list --frob",
            "tenantctl token issue acme",
            "tenantctl token revoke",
            "tenantctl token revoke --jti x --subject y",
            "tenantctl edge enable --certificate x",
            "tenantctl edge enable --certificate x --key y --self-signed",
            "tenantctl sleep",
            "tenantctl egress check",
            "tenantctl egress explain",
            "tenantctl egress set acme",
            "tenantctl egress learn acme",
            "tenantctl approvals list --answers",
            "tenantctl inference add acme --provider x",
        ] {
            assert_eq!(refused(line).0, 64, "{line}");
        }
    }

    #[test]
    fn help_and_version_are_no_errors() {
        for line in ["tenantctl --help", "tenantctl --version", "tenantctl create --help"] {
            assert_eq!(refused(line).0, 0, "{line}");
        }
    }

    #[test]
    fn arguments_of_other_programs_are_passed_on_untouched() {
        let cli =
            Cli::try_parse_from(["tenantctl", "logs", "acme", "-f", "-n", "5", "--since", "today"]).unwrap();
        let Verb::Logs { arguments, .. } = cli.verb else { panic!("not logs") };
        assert_eq!(arguments, ["-f", "-n", "5", "--since", "today"]);
        let cli = Cli::try_parse_from(["tenantctl", "exec", "acme", "--", "ls", "--json", "-la"]).unwrap();
        assert!(!cli.json);
        let Verb::Exec(arguments) = cli.verb else { panic!("not exec") };
        assert_eq!(arguments.command, ["ls", "--json", "-la"]);
    }
}
