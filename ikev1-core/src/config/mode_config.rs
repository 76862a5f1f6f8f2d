use crate::error::{ConfigError, ConfigProblem};
use crate::transaction::ClientSettings;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use core::net::IpAddr;

use super::wrong;

/// On which side of a connection settings are given, and on which they are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModeConfig {
    /// This end gives the peer its address and what goes with it.
    Server(ModeConfigServer),
    /// This end takes them from the peer.
    Client(ModeConfigClient),
}

/// Where the addresses of clients come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AddressSource {
    /// From nowhere: clients keep their own, and get the other settings.
    #[default]
    None,
    /// From a pool of the plan, by its name.
    Pool(String),
    /// From the caller: [`Action::AllocateAddress`](crate::Action::AllocateAddress) asks for each.
    Caller,
}

/// What clients are given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModeConfigServer {
    pub(crate) push: bool,
    pub(crate) addresses: AddressSource,
    pub(crate) settings: Box<ClientSettings>,
}

impl ModeConfigServer {
    /// Returns a server that waits for clients to ask, and has nothing for them.
    pub fn new() -> Self {
        Self::default()
    }

    super::setters! {
        /// Sets whether settings are sent unasked; a client that asks is answered in any case.
        push(push: bool);
        /// Sets where addresses come from.
        addresses(addresses: AddressSource);
        /// Sets what goes with the address. Without an expiry, that of the ISAKMP SA is told to whom asks.
        settings(settings: ClientSettings);
    }
}

/// How settings are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModeConfigClient {
    pub(crate) push: bool,
    pub(crate) wish: Option<IpAddr>,
    pub(crate) version: Option<String>,
    pub(crate) unity: bool,
}

impl Default for ModeConfigClient {
    fn default() -> Self {
        Self { push: false, wish: None, version: None, unity: true }
    }
}

impl ModeConfigClient {
    /// Returns a client that asks for its settings.
    pub fn new() -> Self {
        Self::default()
    }

    super::setters! {
        /// Sets whether the server is given time to send the settings unasked.
        push(push: bool);
        /// Sets the address that is asked for; an unspecified one says only of which family.
        wish(wish: IpAddr);
        /// Sets how this program names itself to the server.
        version(version: String);
        /// Sets whether the attributes of Cisco's Unity clients are asked for.
        unity(unity: bool);
    }
}

impl ModeConfig {
    pub(super) fn check(&self, connection: &str) -> Result<(), ConfigError> {
        match self {
            Self::Server(server) if server.settings.address.is_some() => {
                let problem = ConfigProblem::Conflict("one address for all clients: give a pool");
                Err(wrong(&format!("{connection}.mode_config.settings"), problem))
            }
            Self::Server(_) | Self::Client(_) => Ok(()),
        }
    }
}
