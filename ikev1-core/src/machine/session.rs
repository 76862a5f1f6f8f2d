//! Phase 1.5 as a whole: what stands between the proof of phase 1 and the first quick mode.

use crate::action::RemoveReason;
use crate::config::{ModeConfig, Xauth};
use crate::error::Failure;
use crate::ids::IkeSaId;
use crate::machine::Endpoint;
use crate::machine::sa::IkeSa;
use crate::machine::timers::TimerKey;
use crate::plan::ConnectionPlan;
use crate::transaction::UserName;
use core::net::IpAddr;
use drive::Instant;

/// Where phase 1.5 stands, and what came of it.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) stage: Stage,
    user: Option<UserName>,
    /// The peer knows no older SA; it counts once this one is open.
    pub(crate) initial_contact: bool,
    /// The address that mode-config gave to the client, whichever end that is.
    pub(crate) address: Option<IpAddr>,
}

/// Where phase 1.5 stands.
#[derive(Debug)]
pub(crate) enum Stage {
    /// XAUTH: this end asks the peer's user.
    Asking(Asking),
    /// XAUTH: the peer asks the user of this end.
    Answering(Answering),
    /// XAUTH failed: the SA ends once the peer knows.
    Refusing,
    /// Mode-config, client: the settings are to come unasked.
    AwaitingPush,
    /// Mode-config: the client is to learn its address.
    Configuring,
    /// Phase 2 may run.
    Open,
}

/// XAUTH as its server.
#[derive(Debug, Default)]
pub(crate) struct Asking {
    /// What ties all messages of XAUTH together.
    pub(crate) identifier: u16,
    pub(crate) rounds: u32,
    pub(crate) failures: u32,
    /// Who the user says he is.
    pub(crate) claimed: Option<UserName>,
}

/// XAUTH as its client.
#[derive(Debug, Default)]
pub(crate) struct Answering {
    pub(crate) rounds: u32,
    /// Who this end said it is.
    pub(crate) claimed: Option<UserName>,
}

impl Session {
    /// Returns phase 1.5 before its first message.
    pub(crate) fn new(connection: &ConnectionPlan, initial_contact: bool) -> Self {
        let stage = match connection.xauth {
            Some(Xauth::Server(_)) => Stage::Asking(Asking::default()),
            Some(Xauth::Client(_)) => Stage::Answering(Answering::default()),
            None => Stage::Configuring,
        };
        Self { stage, user: None, initial_contact, address: None }
    }

    pub(crate) const fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open)
    }

    /// Returns whether it is not known yet which user this is.
    pub(crate) const fn is_about_the_user(&self) -> bool {
        matches!(self.stage, Stage::Asking(_) | Stage::Answering(_) | Stage::Refusing)
    }

    /// Returns the user that XAUTH proved: the peer's, or that of this end.
    pub(crate) const fn user(&self) -> Option<&UserName> {
        self.user.as_ref()
    }
}

impl Endpoint {
    /// Begins phase 1.5 of an SA whose ends have proven who they are.
    pub(super) fn begin_session(&mut self, now: Instant, sa: &mut IkeSa, connection: &ConnectionPlan) {
        let Some(xauth) = &connection.xauth else { return self.after_user(now, sa, connection) };
        self.timers.set(TimerKey::Session(sa.core.id), now + xauth.time());
        match xauth {
            Xauth::Server(server) => self.begin_asking(now, sa, connection, server),
            Xauth::Client(client) if !client.again && self.inherit_session(sa) => {
                self.open_session(now, sa, connection)
            }
            Xauth::Client(_) => {}
        }
    }

    /// Takes over what the SA that is being renewed had; `false` if there is nothing.
    fn inherit_session(&mut self, sa: &mut IkeSa) -> bool {
        let old = sa.core.replaces.and_then(|id| self.table.get(id)).filter(|old| old.is_open());
        let Some((user, address)) = old.and_then(IkeSa::up).map(|up| (up.session.user.clone(), up.session.address))
        else {
            return false;
        };
        if let Some(up) = sa.up_mut() {
            (up.session.user, up.session.address) = (user, address);
        }
        true
    }

    /// XAUTH proved the user.
    pub(super) fn user_proven(&mut self, now: Instant, sa: &mut IkeSa, connection: &ConnectionPlan, user: UserName) {
        if let Some(up) = sa.up_mut() {
            up.session.user = Some(user);
            up.session.stage = Stage::Configuring;
        }
        self.after_user(now, sa, connection);
    }

    /// The user is known, or needs not be.
    fn after_user(&mut self, now: Instant, sa: &mut IkeSa, connection: &ConnectionPlan) {
        let has_address = sa.up().is_some_and(|up| up.session.address.is_some());
        self.timers.set(TimerKey::Session(sa.core.id), now + connection.session_time());
        match &connection.mode_config {
            None => self.open_session(now, sa, connection),
            // It came with XAUTH.
            Some(ModeConfig::Client(_)) if has_address => self.open_session(now, sa, connection),
            Some(ModeConfig::Client(client)) => self.begin_configuring(now, sa, connection, client),
            Some(ModeConfig::Server(server)) => {
                // Some clients do not ask again when they renew.
                let inherited = self.inherit_address(sa, connection);
                if server.push {
                    self.begin_push(now, sa, connection);
                } else if inherited {
                    self.open_session(now, sa, connection);
                }
            }
        }
    }

    /// Opens an SA for phase 2: older ones of the same peer step back, what waits begins.
    pub(super) fn open_session(&mut self, now: Instant, sa: &mut IkeSa, connection: &ConnectionPlan) {
        self.timers.cancel(&TimerKey::Session(sa.core.id));
        let Some(up) = sa.up_mut() else { return };
        up.session.stage = Stage::Open;
        let is_initial = up.session.initial_contact;
        if is_initial {
            self.on_initial_contact(sa);
        }
        if !is_initial || connection.ignore_initial_contact {
            self.adopt(now, sa, connection.delete_delay);
        }
        for waiting in core::mem::take(&mut sa.core.waiting) {
            self.start_quick(now, sa, waiting);
        }
    }

    /// Phase 1.5 takes too long.
    pub(super) fn session_due(&mut self, now: Instant, id: IkeSaId) {
        let Some(mut sa) = self.table.take(id) else { return };
        let Some(stage) = sa.up().map(|up| &up.session.stage) else { return self.table.put(sa) };
        let failure = match stage {
            Stage::Open => return self.table.put(sa),
            Stage::Asking(_) | Stage::Answering(_) => Failure::UserTimeout,
            Stage::Refusing => Failure::UserRefused,
            Stage::AwaitingPush => {
                if let Some(connection) = self.plan.shared(sa.core.connection) {
                    self.ask_for_settings(now, &mut sa, &connection);
                }
                return self.table.put(sa);
            }
            Stage::Configuring => Failure::NoAddress,
        };
        self.fail_session(sa, failure);
    }

    /// Ends an SA that never came to be open, or whose user was refused later.
    pub(super) fn fail_session(&mut self, sa: IkeSa, failure: Failure) {
        // A user that was refused knows it: peers drop the SA without a Delete then.
        if failure != Failure::UserRefused {
            self.tell_ike_end(&sa, false);
        }
        let with_children = sa.is_open();
        self.end_ike(sa, RemoveReason::Failed(failure), with_children);
    }

    /// Forgets what phase 1.5 of an SA that ends has at work.
    pub(super) fn end_session(&mut self, sa: &mut IkeSa) {
        let id = sa.core.id;
        self.timers.cancel(&TimerKey::Session(id));
        for message_id in core::mem::take(&mut sa.core.transactions).into_keys() {
            self.timers.cancel(&TimerKey::Transaction(id, message_id));
        }
        self.questions.retain(|_, (ike_sa, _)| *ike_sa != id);
        self.release_address(sa);
    }
}
