use crate::defaults;
use crate::error::{ConfigError, ConfigProblem};
use crate::ids::Role;
use crate::proposal::AuthenticationMethod;
use crate::transaction::{MAX_FIELD, UserName, XauthQuestion};
use alloc::format;
use core::time::Duration;
use drive::SecretBytes;

use super::{within, wrong};

/// On which side of a connection the user of XAUTH sits.
///
/// XAUTH proves the user to the server, and nothing to the user: with a pre-shared key of a group
/// anyone in the group can pose as the server. Signatures or hybrid authentication prove the server.
#[derive(Debug)]
pub enum Xauth {
    /// The user sits at the peer: this end asks.
    Server(XauthServer),
    /// The user sits here: the peer asks.
    Client(XauthClient),
}

/// How this end asks the peer's user who he is.
#[derive(Clone, Debug)]
pub struct XauthServer {
    pub(crate) question: XauthQuestion,
    pub(crate) attempts: u32,
    pub(crate) rounds: u32,
    pub(crate) time: Duration,
}

impl Default for XauthServer {
    fn default() -> Self {
        Self {
            question: XauthQuestion::password(),
            attempts: defaults::XAUTH_ATTEMPTS,
            rounds: defaults::XAUTH_ROUNDS,
            time: defaults::SESSION_TIMEOUT,
        }
    }
}

impl XauthServer {
    /// Returns a server that asks once for a name and a password.
    pub fn new() -> Self {
        Self::default()
    }

    super::setters! {
        /// Sets what is asked first. A challenge of RADIUS-CHAP that is absent is drawn for each user.
        question(question: XauthQuestion);
        /// Sets after how many wrong answers the user is refused, 1 to 16.
        attempts(attempts: u32);
        /// Sets the most rounds of questions, 1 to 64.
        rounds(rounds: u32);
        /// Sets how long XAUTH and mode-config may take each, 1 to 3600 s.
        time(time: Duration);
    }
}

/// How the user of this end is found.
#[derive(Debug)]
pub struct XauthClient {
    pub(crate) credentials: Option<(UserName, SecretBytes)>,
    pub(crate) again: bool,
    pub(crate) time: Duration,
}

impl Default for XauthClient {
    fn default() -> Self {
        Self { credentials: None, again: true, time: defaults::SESSION_TIMEOUT }
    }
}

impl XauthClient {
    /// Returns a client whose caller answers every question.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the name and the password that answer the first question without asking the caller.
    #[must_use]
    pub fn credentials(mut self, user: UserName, password: SecretBytes) -> Self {
        self.credentials = Some((user, password));
        self
    }

    super::setters! {
        /// Sets whether XAUTH runs again when the ISAKMP SA is renewed; some gateways skip it then, and
        /// mode-config with it.
        again(again: bool);
        /// Sets how long XAUTH and mode-config may take each, 1 to 3600 s.
        time(time: Duration);
    }
}

impl Xauth {
    pub(super) fn check(&self, connection: &str) -> Result<(), ConfigError> {
        let field = |field: &str| format!("{connection}.xauth.{field}");
        let time = match self {
            Self::Server(server) => {
                within(&field("attempts"), server.attempts.into(), 1..=16)?;
                within(&field("rounds"), server.rounds.into(), 1..=64)?;
                if server.question.asks.is_empty() {
                    return Err(wrong(&field("question"), ConfigProblem::Conflict("nothing is asked")));
                }
                server.time
            }
            Self::Client(client) => {
                if let Some((user, password)) = &client.credentials {
                    within(&field("user"), user.octets().len() as u64, 1..=MAX_FIELD as u64)?;
                    within(&field("password"), password.len() as u64, 0..=MAX_FIELD as u64)?;
                }
                client.time
            }
        };
        within(&field("time"), time.as_secs(), 1..=3_600)
    }

    /// Returns how long phase 1.5 may take.
    pub(crate) const fn time(&self) -> Duration {
        match self {
            Self::Server(server) => server.time,
            Self::Client(client) => client.time,
        }
    }

    /// Returns the method to offer or to take: the base method, with the side of the user in its number.
    pub(crate) const fn method(&self, base: AuthenticationMethod, role: Role) -> AuthenticationMethod {
        use AuthenticationMethod as Method;
        let initiator_is_user =
            matches!((self, role), (Self::Client(_), Role::Initiator) | (Self::Server(_), Role::Responder));
        match (base, initiator_is_user) {
            (Method::PreSharedKey | Method::XauthInitPreSharedKey | Method::XauthRespPreSharedKey, true) => {
                Method::XauthInitPreSharedKey
            }
            (Method::PreSharedKey | Method::XauthInitPreSharedKey | Method::XauthRespPreSharedKey, false) => {
                Method::XauthRespPreSharedKey
            }
            (Method::RsaSignature | Method::XauthInitRsaSignature | Method::XauthRespRsaSignature, true) => {
                Method::XauthInitRsaSignature
            }
            (Method::RsaSignature | Method::XauthInitRsaSignature | Method::XauthRespRsaSignature, false) => {
                Method::XauthRespRsaSignature
            }
            (Method::HybridInitRsa | Method::HybridRespRsa, true) => Method::HybridInitRsa,
            (Method::HybridInitRsa | Method::HybridRespRsa, false) => Method::HybridRespRsa,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// draft-beaulieu-ike-xauth §7: the number says which end of phase 1 the user sits at.
    #[test]
    fn the_method_names_the_end_of_the_user() {
        let (server, client) = (Xauth::Server(XauthServer::new()), Xauth::Client(XauthClient::new()));
        for (xauth, role, numbers) in [
            (&client, Role::Initiator, [65001, 65005, 64221]),
            (&server, Role::Responder, [65001, 65005, 64221]),
            (&client, Role::Responder, [65002, 65006, 64222]),
            (&server, Role::Initiator, [65002, 65006, 64222]),
        ] {
            let bases = [
                AuthenticationMethod::PreSharedKey,
                AuthenticationMethod::RsaSignature,
                AuthenticationMethod::HybridInitRsa,
            ];
            assert_eq!(bases.map(|base| xauth.method(base, role).number().0), numbers, "{xauth:?} {role}");
        }
    }
}
