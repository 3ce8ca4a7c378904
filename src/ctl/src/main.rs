//! `tenantctl`: create, run, inspect and delete isolated tenants.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    ctl::main()
}
