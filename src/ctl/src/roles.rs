//! `roles`: who may do what, as the runtimes' descriptions say. Needs no daemon.

use catalog::Catalog;
use model::edge::{Methods, RoleRights};
use serde::Serialize;

use crate::failure::Ended;
use crate::offline::of_catalog;
use crate::output::{Cell, table};
use crate::session::Session;

/// A runtime's part of the matrix.
#[derive(Serialize)]
struct Matrix {
    runtime: String,
    roles: Vec<RoleRights>,
}

/// Prints the matrix.
pub(crate) fn roles(session: &mut Session) -> Ended {
    let shipped = Catalog::open(&session.paths.policies()).map_err(of_catalog)?;
    let mut matrix = Vec::new();
    for runtime in shipped.runtimes().map_err(of_catalog)? {
        let (description, _) = shipped.runtime(&runtime).map_err(of_catalog)?;
        matrix.push(Matrix { runtime, roles: description.edge.roles });
    }
    session.print(&matrix, |session| {
        let rows: Vec<_> =
            matrix.iter().flat_map(|of| of.roles.iter().map(|rights| row(&of.runtime, rights))).collect();
        table(
            ["RUNTIME", "ROLE", "REQUESTS", "WEBSOCKETS", "SCOPES OF THE GATEWAY"],
            &rows,
            session.width,
            session.palette,
        )
    })?;
    Ok(0)
}

fn row(runtime: &str, rights: &RoleRights) -> [Cell; 5] {
    let methods = match rights.methods {
        Methods::Safe => "GET, HEAD",
        Methods::All => "all",
    };
    let scopes = if rights.scopes.is_empty() { "-".to_owned() } else { rights.scopes.join(" ") };
    [
        Cell::from(runtime),
        Cell::from(rights.role.name()),
        Cell::from(methods),
        Cell::from(if rights.websocket { "yes" } else { "no" }),
        Cell::from(scopes),
    ]
}
