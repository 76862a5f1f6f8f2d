//! The shape of what concerns users and clients: XAUTH, mode-config, pools of addresses.

use super::file::{Connection, FileError, read_secret};
use super::words::{Prefix, SecretText};
use core::net::{IpAddr, Ipv4Addr};
use drive::SecretBytes;
use ikev1_core::{UserName, Users};
use serde::Deserialize;
use std::path::PathBuf;

/// The user who must prove who he is after the key: at the peer, if `users_file` is given, or here.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Xauth {
    /// A file with a user and his password on each line, a colon between; whoever is in it may connect.
    pub users_file: Option<PathBuf>,
    /// How often a user may try.
    pub attempts: Option<u32>,
    /// The name that this end gives.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<SecretText>,
    /// A file that holds the password, in place of `password`.
    pub password_file: Option<PathBuf>,
}

/// What a client is given, if a pool is named, or takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModeConfig {
    /// The pool that clients get their addresses from.
    pub pool: Option<String>,
    /// Whether settings come without being asked for.
    #[serde(default)]
    pub push: bool,
    /// Servers of names for clients.
    #[serde(default)]
    pub dns: Vec<IpAddr>,
    /// Servers of NetBIOS names for clients.
    #[serde(default)]
    pub nbns: Vec<Ipv4Addr>,
    /// The networks that clients of Cisco's reach through the tunnel; all if none is named.
    #[serde(default)]
    pub split_include: Vec<Prefix>,
    /// A text for clients to show.
    pub banner: Option<String>,
    /// The domain that clients' names are in.
    pub default_domain: Option<String>,
}

/// A range of addresses for clients.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// The first address.
    pub first: IpAddr,
    /// The last address.
    pub last: IpAddr,
}

impl Connection {
    /// Returns the users who may connect.
    ///
    /// # Errors
    /// The users file cannot be read, or a line of it is not `user:password`.
    pub fn users(&self, field: &str) -> Result<Option<Users>, FileError> {
        let Some(path) = self.xauth.as_ref().and_then(|xauth| xauth.users_file.as_ref()) else { return Ok(None) };
        let octets = read_secret(path)?;
        let mut users = Users::new();
        for (index, line) in octets.expose().split(|octet| *octet == b'\n').enumerate() {
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let colon = line.iter().position(|octet| *octet == b':').filter(|at| *at > 0);
            let Some((name, password)) = colon.map(|at| line.split_at(at)) else {
                let reason = format!("line {} is not user:password", index + 1);
                return Err(FileError::refused(format!("{field}.xauth.users_file"), reason));
            };
            let password = password.get(1..).unwrap_or_default();
            users.insert(UserName::new(name), SecretBytes::copied(password));
        }
        Ok(Some(users))
    }

    /// Returns the name and password that this end gives.
    ///
    /// # Errors
    /// The password file cannot be read.
    pub fn credentials(&self) -> Result<Option<(UserName, SecretBytes)>, FileError> {
        let Some(xauth) = &self.xauth else { return Ok(None) };
        let Some(user) = &xauth.user else { return Ok(None) };
        let password = match (&xauth.password, &xauth.password_file) {
            (Some(password), _) => SecretBytes::copied(password.0.expose()),
            (None, Some(path)) => {
                let octets = read_secret(path)?;
                SecretBytes::copied(octets.expose().strip_suffix(b"\n").unwrap_or(octets.expose()))
            }
            (None, None) => SecretBytes::copied(b""),
        };
        Ok(Some((UserName::from(user.as_str()), password)))
    }
}
