//! The ways out of tenants.

use super::super::egress::WayOut;
use super::{Evidence, MISSING, OK, WARNING, check};
use api::Check;

const NAME: &str = "egress";

/// Everything that is the matter with one, or that nothing is.
pub(super) fn egress(found: &Evidence) -> Vec<Check> {
    let ways = match &found.egress {
        Ok(ways) => ways,
        Err(why) => {
            let found = format!("the ways out of tenants cannot be looked at: {why}");
            return vec![check(WARNING, NAME, found, "run it as root")];
        }
    };
    let mut report: Vec<Check> = ways.iter().flat_map(of_tenant).collect();
    if report.is_empty() {
        let text = match ways.len() {
            0 => "no tenant has a way out".to_owned(),
            count => format!("open, for all {count} tenants that have a way out"),
        };
        report.push(check(OK, NAME, text, ""));
    }
    report
}

fn of_tenant(way: &WayOut) -> Vec<Check> {
    let id = &way.tenant;
    let repair = format!("tenantctl repair {id}");
    let mut report: Vec<Check> = socket(way).into_iter().collect();
    if let Err(why) = &way.file {
        let path = format!("/var/lib/tenantd/egress/{}/egress.json", id.system_name());
        let found = format!("tenant {id}: {path} {why}: its proxy allows nothing, or what it read before");
        report.push(check(MISSING, NAME, found, repair.clone()));
    }
    if let Some(Err(why)) = &way.authority {
        let found = format!(
            "tenant {id}: the secret egress-authority {why}: TLS is refused where the policy looks at requests"
        );
        report.push(check(MISSING, NAME, found, repair));
    }
    report
}

/// A tenant that does not run needs no socket.
fn socket(way: &WayOut) -> Option<Check> {
    let (id, unit) = (&way.tenant, way.tenant.egress_socket());
    let remedy = format!("systemctl start {unit}, and see \"journalctl -u {unit}\"");
    match (&way.gateway, &way.socket) {
        (Ok(gateway), Ok(socket)) if gateway == "active" && socket != "active" => {
            let found = format!("tenant {id} runs, and {unit} is {socket}: it reaches nothing");
            Some(check(MISSING, NAME, found, remedy))
        }
        (Ok(_), Ok(_)) => None,
        (Err(why), _) | (_, Err(why)) => {
            Some(check(WARNING, NAME, format!("tenant {id}: {unit} cannot be asked about: {why}"), remedy))
        }
    }
}
