//! The world outside, as far as the proxy needs it: names and connections.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;

use tokio::net::TcpStream;

/// Addresses of a name that count, at most.
const MOST: usize = 16;

/// What is coming.
pub type Coming<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

/// Names and connections.
pub trait Network: Send + Sync {
    /// Addresses of a name. It takes as long as it takes: `Lookups` bounds that.
    fn resolve<'a>(&'a self, name: &'a str) -> Coming<'a, Vec<IpAddr>>;
    /// A connection to an address.
    fn connect(&self, address: SocketAddr) -> Coming<'_, TcpStream>;
}

/// This machine's own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Host;

/// A name as it is looked up: without the search list of resolv.conf, by which it could become another one. The unit sets an empty list; a
/// final dot does the same, and hides what /etc/hosts says.
fn asked(name: &str) -> String {
    let no_list = std::env::var_os("LOCALDOMAIN").is_some_and(|list| list.is_empty());
    if no_list { name.to_owned() } else { format!("{name}.") }
}

impl Network for Host {
    fn resolve<'a>(&'a self, name: &'a str) -> Coming<'a, Vec<IpAddr>> {
        Box::pin(async move {
            let asked = asked(name);
            let found = tokio::net::lookup_host((asked.as_str(), 0)).await?;
            let mut addresses: Vec<IpAddr> = Vec::new();
            for address in found.map(|address| address.ip().to_canonical()) {
                if !addresses.contains(&address) && addresses.len() < MOST {
                    addresses.push(address);
                }
            }
            Ok(addresses)
        })
    }

    fn connect(&self, address: SocketAddr) -> Coming<'_, TcpStream> {
        Box::pin(TcpStream::connect(address))
    }
}
