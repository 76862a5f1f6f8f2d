//! Mode-config as its server: an address for the client, and what goes with it.

use crate::action::{Action, AllocateAddress};
use crate::command::Handle;
use crate::config::{AddressSource, ModeConfig, ModeConfigServer};
use crate::defaults;
use crate::error::{CommandError, DropReason};
use crate::event::Event;
use crate::ids::Ticket;
use crate::machine::Endpoint;
use crate::machine::phase1::Taken;
use crate::machine::sa::IkeSa;
use crate::machine::timers::TimerKey;
use crate::machine::transaction::{State, Transaction};
use crate::plan::ConnectionPlan;
use crate::transaction::{ClientSettings, Owner, Wanted};
use alloc::boxed::Box;
use alloc::string::String;
use core::net::IpAddr;
use drive::{Instant, Verdict};
use ipsec_wire::isakmp::payload::Attributes;
use ipsec_wire::registry::ConfigType;

/// Where the address of a client comes from.
enum Found {
    Here(Option<IpAddr>),
    AskTheCaller,
}

impl Endpoint {
    /// Sends settings unasked.
    pub(super) fn begin_push(&mut self, now: Instant, sa: &mut IkeSa, connection: &ConnectionPlan) {
        match self.find_address(sa, connection, None) {
            Found::Here(address) => self.push_settings(now, sa, connection, address),
            Found::AskTheCaller => {
                let message_id = self.draw_message_id(&sa.core);
                let Some(iv) = sa.up().map(|up| up.iv.for_message_id(message_id)) else { return };
                let transaction = Transaction::initiator(State::Done(crate::StateName::TransactionIdle), 0, iv);
                self.ask_for_address(now, sa, (message_id, transaction), None);
            }
        }
    }

    fn push_settings(&mut self, now: Instant, sa: &mut IkeSa, connection: &ConnectionPlan, address: Option<IpAddr>) {
        let Some(server) = mode_config_server(connection) else { return };
        let settings = ClientSettings { address, ..(*server.settings).clone() };
        self.tell_leased(sa, server, address);
        let attributes = settings.write(None, sa.core.capabilities.unity);
        self.begin_transaction(now, sa, connection, (State::SettingsSent, 0), (ConfigType::SET, attributes));
    }

    /// A client asks for its settings.
    pub(super) fn on_settings_wanted(
        &mut self,
        now: Instant,
        mut sa: IkeSa,
        connection: &ConnectionPlan,
        transaction: (u32, Transaction),
        attributes: Attributes<'_>,
    ) -> (Option<IkeSa>, Taken) {
        if sa.up().is_none_or(|up| up.session.is_about_the_user()) {
            // The client is further than this end knows: what it said to the outcome was lost on the way.
            self.repeat_questions(&sa);
            return (Some(sa), Err(DropReason::NotOpen));
        }
        // The caller is asked once: a request that comes meanwhile is answered when it comes again.
        if sa.core.transactions.values().any(|other| matches!(other.state, State::AskingAddress(..))) {
            return (Some(sa), Err(DropReason::Limit));
        }
        let wanted = Wanted::read(attributes);
        self.tell_unsupported(sa.core.id, &wanted.unsupported);
        let found = if wanted.wants_address() && mode_config_server(connection).is_some() {
            self.find_address(&mut sa, connection, wanted.address)
        } else {
            Found::Here(None)
        };
        match found {
            Found::Here(address) => self.reply_settings(now, &mut sa, connection, transaction, &wanted, address),
            Found::AskTheCaller => self.ask_for_address(now, &mut sa, transaction, Some(wanted)),
        }
        (Some(sa), Ok(Verdict::Accepted))
    }

    /// Answers a client; once it has its address, phase 2 may run.
    fn reply_settings(
        &mut self,
        now: Instant,
        sa: &mut IkeSa,
        connection: &ConnectionPlan,
        transaction: (u32, Transaction),
        wanted: &Wanted,
        address: Option<IpAddr>,
    ) {
        let mut settings = ClientSettings::default();
        if let Some(server) = mode_config_server(connection) {
            let left = sa.up().map(|up| up.hard - now).unwrap_or_default();
            let expiry = server.settings.expiry.or(u32::try_from(left.as_secs()).ok());
            settings = ClientSettings { address, expiry, ..(*server.settings).clone() };
            if wanted.wants_address() {
                self.tell_leased(sa, server, address);
            }
        }
        let attributes = settings.write(Some(wanted), sa.core.capabilities.unity);
        self.answer_transaction(now, sa, connection, transaction, (ConfigType::REPLY, attributes));
        let has_all = address.is_some()
            || mode_config_server(connection).is_some_and(|server| server.addresses == AddressSource::None);
        if has_all && sa.up().is_some_and(|up| !up.session.is_open()) {
            self.open_session(now, sa, connection);
        }
    }

    /// The client has taken what was sent unasked: phase 2 may run.
    pub(super) fn on_settings_acknowledged(&mut self, now: Instant, sa: &mut IkeSa, connection: &ConnectionPlan) {
        if sa.up().is_some_and(|up| !up.session.is_open()) {
            self.open_session(now, sa, connection);
        }
    }

    /// Finds the address of a client: the one it has, one of the pool, or none yet.
    fn find_address(&mut self, sa: &mut IkeSa, connection: &ConnectionPlan, wish: Option<IpAddr>) -> Found {
        if let Some(address) = sa.up().and_then(|up| up.session.address) {
            return Found::Here(Some(address));
        }
        let Some(server) = mode_config_server(connection) else { return Found::Here(None) };
        match &server.addresses {
            AddressSource::None => Found::Here(None),
            AddressSource::Caller => Found::AskTheCaller,
            AddressSource::Pool(name) => {
                let address = self.lend(sa, name, wish);
                if let Some(up) = sa.up_mut() {
                    up.session.address = address;
                }
                Found::Here(address)
            }
        }
    }

    fn lend(&mut self, sa: &IkeSa, name: &str, wish: Option<IpAddr>) -> Option<IpAddr> {
        let peer = sa.peer_key()?;
        let owner = Owner { connection: peer.connection, identity: peer.identity, user: peer.user };
        self.pool(name)?.lend(sa.core.id, &owner, peer.address, wish)
    }

    fn pool(&mut self, name: &str) -> Option<&mut crate::transaction::AddressPool> {
        let at = self.plan.pools.iter().position(|pool| pool.name == name)?;
        self.pools.get_mut(at)
    }

    /// Takes over the address that the same client has under the SA that is being renewed.
    pub(super) fn inherit_address(&mut self, sa: &mut IkeSa, connection: &ConnectionPlan) -> bool {
        let Some(server) = mode_config_server(connection) else { return false };
        let Some(peer) = sa.peer_key() else { return false };
        let old = self.table.current(&peer).and_then(|id| self.table.get(id)).and_then(IkeSa::up);
        let Some(address) = old.and_then(|up| up.session.address) else { return false };
        if let AddressSource::Pool(name) = &server.addresses
            && self.lend(sa, name, None) != Some(address)
        {
            return false;
        }
        if let Some(up) = sa.up_mut() {
            up.session.address = Some(address);
        }
        true
    }

    /// Gives back the address of an SA that ends.
    pub(super) fn release_address(&mut self, sa: &IkeSa) {
        let Some(address) = sa.up().and_then(|up| up.session.address) else { return };
        let id = sa.core.connection;
        let Some(connection) = self.plan.shared(id) else { return };
        let Some(server) = mode_config_server(&connection) else { return };
        let is_free = match &server.addresses {
            AddressSource::None => false,
            AddressSource::Pool(name) => {
                let sa = sa.core.id;
                self.pool(name).is_some_and(|pool| pool.give_back(sa).is_some())
            }
            AddressSource::Caller => {
                let has_it = |other: &IkeSa| {
                    other.core.id != sa.core.id && other.up().is_some_and(|up| up.session.address == Some(address))
                };
                !self.table.of_connection(id).any(has_it)
            }
        };
        if !is_free {
            return;
        }
        if server.addresses == AddressSource::Caller {
            self.out.action(Action::ReleaseAddress { connection: id, address });
        }
        self.event(Event::AddressReleased { connection: id, address });
    }

    fn ask_for_address(
        &mut self,
        now: Instant,
        sa: &mut IkeSa,
        (message_id, mut transaction): (u32, Transaction),
        wanted: Option<Wanted>,
    ) {
        let ticket = self.question(sa, message_id);
        let wish = wanted.as_ref().and_then(|wanted| wanted.address);
        transaction.state = State::AskingAddress(ticket, wanted);
        self.timers.set(TimerKey::Transaction(sa.core.id, message_id), now + defaults::TICKET_TIMEOUT);
        sa.core.transactions.insert(message_id, transaction);
        let Some(up) = sa.up() else { return };
        self.out.action(Action::AllocateAddress(Box::new(AllocateAddress {
            ticket,
            ike_sa: sa.core.id,
            connection: sa.core.connection,
            peer: up.peer.clone(),
            user: up.session.user().cloned(),
            path: sa.core.path,
            wish,
        })));
    }

    /// Takes the caller's address; `None` says that there is none.
    pub(super) fn provide_address(
        &mut self,
        now: Instant,
        ticket: Ticket,
        address: Option<IpAddr>,
    ) -> Result<Handle, CommandError> {
        let unknown = CommandError::UnknownTicket(ticket);
        let (ike_sa, message_id) = *self.questions.get(&ticket).ok_or(unknown)?;
        let Some(mut sa) = self.table.take(ike_sa) else { return Err(unknown) };
        let waits = match sa.core.transactions.get(&message_id).map(|transaction| &transaction.state) {
            Some(State::AskingAddress(at, _)) => *at == ticket,
            _other => false,
        };
        let (Some(connection), true) = (self.plan.shared(sa.core.connection), waits) else {
            self.table.put(sa);
            return Err(unknown);
        };
        self.questions.remove(&ticket);
        self.address_known(now, &mut sa, &connection, message_id, address);
        self.table.put(sa);
        Ok(Handle::Done)
    }

    /// Goes on with settings whose address is known, or known not to be.
    pub(super) fn address_known(
        &mut self,
        now: Instant,
        sa: &mut IkeSa,
        connection: &ConnectionPlan,
        message_id: u32,
        address: Option<IpAddr>,
    ) {
        let Some(transaction) = sa.core.transactions.remove(&message_id) else { return };
        self.timers.cancel(&TimerKey::Transaction(sa.core.id, message_id));
        if let Some(up) = sa.up_mut() {
            up.session.address = address;
        }
        match transaction.state {
            State::AskingAddress(_, Some(ref wanted)) => {
                let wanted = wanted.clone();
                self.reply_settings(now, sa, connection, (message_id, transaction), &wanted, address);
            }
            State::AskingAddress(_, None) => self.push_settings(now, sa, connection, address),
            State::QuestionSent(_)
            | State::StatusSent(_)
            | State::Verifying(_)
            | State::AskingUser(..)
            | State::SettingsWanted
            | State::SettingsSent
            | State::Done(_) => {}
        }
    }

    fn tell_leased(&mut self, sa: &IkeSa, server: &ModeConfigServer, address: Option<IpAddr>) {
        let (ike_sa, connection) = (sa.core.id, sa.core.connection);
        let Some(up) = sa.up() else { return };
        match address {
            Some(address) => self.event(Event::AddressLeased {
                ike_sa,
                connection,
                peer: up.peer.clone(),
                user: up.session.user().cloned(),
                address,
            }),
            None if server.addresses != AddressSource::None => {
                self.event(Event::NoAddressLeft { ike_sa, connection });
            }
            None => {}
        }
    }
}

/// Returns the name of the pool that a connection lends from.
pub(crate) fn pool_of(connection: &ConnectionPlan) -> Option<&String> {
    match mode_config_server(connection).map(|server| &server.addresses) {
        Some(AddressSource::Pool(name)) => Some(name),
        Some(AddressSource::None | AddressSource::Caller) | None => None,
    }
}

fn mode_config_server(connection: &ConnectionPlan) -> Option<&ModeConfigServer> {
    match &connection.mode_config {
        Some(ModeConfig::Server(server)) => Some(server),
        Some(ModeConfig::Client(_)) | None => None,
    }
}
