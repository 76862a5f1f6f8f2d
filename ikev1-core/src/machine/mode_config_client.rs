//! Mode-config as its client: the address comes when it is asked for, or unasked.

use crate::config::{ModeConfig, ModeConfigClient};
use crate::defaults;
use crate::error::{DropReason, Failure};
use crate::event::Event;
use crate::machine::Endpoint;
use crate::machine::phase1::Taken;
use crate::machine::sa::IkeSa;
use crate::machine::session::Stage;
use crate::machine::timers::TimerKey;
use crate::machine::transaction::{State, Transaction};
use crate::plan::ConnectionPlan;
use crate::transaction::{ClientSettings, write_acknowledgement, write_request};
use alloc::boxed::Box;
use drive::{Instant, Verdict};
use ipsec_wire::isakmp::payload::Attributes;
use ipsec_wire::registry::ConfigType;

impl Endpoint {
    /// Asks for settings, or waits for them to come unasked.
    pub(super) fn begin_configuring(
        &mut self,
        now: Instant,
        sa: &mut IkeSa,
        connection: &ConnectionPlan,
        client: &ModeConfigClient,
    ) {
        if !client.push {
            return self.ask_for_settings(now, sa, connection);
        }
        if let Some(up) = sa.up_mut() {
            up.session.stage = Stage::AwaitingPush;
        }
        self.timers.set(TimerKey::Session(sa.core.id), now + defaults::PUSH_WAIT);
    }

    /// Asks for settings; an address that this end had under the SA before is the wish.
    pub(super) fn ask_for_settings(&mut self, now: Instant, sa: &mut IkeSa, connection: &ConnectionPlan) {
        let Some(client) = mode_config_client(connection) else { return };
        self.timers.set(TimerKey::Session(sa.core.id), now + connection.session_time());
        let had = sa.core.replaces.and_then(|id| self.table.get(id)).and_then(IkeSa::up);
        let had = had.and_then(|up| up.session.address);
        let Some(up) = sa.up_mut() else { return };
        up.session.stage = Stage::Configuring;
        let speaks_unity = client.unity && sa.core.capabilities.unity;
        let attributes = write_request(had.or(client.wish), client.version.as_deref(), speaks_unity);
        let [high, low, ..] = self.rng.next_u32().to_be_bytes();
        let state = (State::SettingsWanted, u16::from_be_bytes([high, low]));
        self.begin_transaction(now, sa, connection, state, (ConfigType::REQUEST, attributes));
    }

    /// The server's answer: without an address the SA is of no use.
    pub(super) fn on_settings(
        &mut self,
        now: Instant,
        mut sa: IkeSa,
        connection: &ConnectionPlan,
        attributes: Attributes<'_>,
    ) -> (Option<IkeSa>, Taken) {
        if !sa.up().is_some_and(|up| matches!(up.session.stage, Stage::Configuring)) {
            // They came unasked in the meantime.
            return (Some(sa), Ok(Verdict::Accepted));
        }
        let settings = self.take_settings(&mut sa, attributes);
        if settings.address.is_none() {
            self.fail_session(sa, Failure::NoAddress);
            return (None, Ok(Verdict::Accepted));
        }
        self.open_session(now, &mut sa, connection);
        (Some(sa), Ok(Verdict::Accepted))
    }

    /// Settings that come unasked. An address stays what it is once phase 2 may run.
    pub(super) fn on_settings_set(
        &mut self,
        now: Instant,
        mut sa: IkeSa,
        connection: &ConnectionPlan,
        transaction: (u32, Transaction),
        attributes: Attributes<'_>,
    ) -> (Option<IkeSa>, Taken) {
        let is_client = mode_config_client(connection).is_some();
        if !is_client && !matches!(connection.xauth, Some(crate::Xauth::Client(_))) {
            return (Some(sa), Err(DropReason::Unexpected));
        }
        let acknowledged = if is_client { write_acknowledgement(attributes) } else { alloc::vec::Vec::new() };
        self.answer_transaction(now, &mut sa, connection, transaction, (ConfigType::ACK, acknowledged));
        let is_open = sa.is_open();
        if !is_client || is_open {
            return (Some(sa), Ok(Verdict::Accepted));
        }
        // Some gateways send the address before they say that the user is accepted.
        let has_address = self.take_settings(&mut sa, attributes).address.is_some();
        let waits = sa.up().is_some_and(|up| matches!(up.session.stage, Stage::Configuring | Stage::AwaitingPush));
        if has_address && waits {
            self.open_session(now, &mut sa, connection);
        }
        (Some(sa), Ok(Verdict::Accepted))
    }

    /// Keeps the address and tells of the rest.
    fn take_settings(&mut self, sa: &mut IkeSa, attributes: Attributes<'_>) -> ClientSettings {
        let (settings, unsupported) = ClientSettings::read(attributes);
        let (ike_sa, connection) = (sa.core.id, sa.core.connection);
        self.tell_unsupported(ike_sa, &unsupported);
        if let (Some(up), Some(address)) = (sa.up_mut(), settings.address) {
            up.session.address = Some(address);
        }
        self.event(Event::Configured { ike_sa, connection, settings: Box::new(settings.clone()) });
        settings
    }
}

fn mode_config_client(connection: &ConnectionPlan) -> Option<&ModeConfigClient> {
    match &connection.mode_config {
        Some(ModeConfig::Client(client)) => Some(client),
        Some(ModeConfig::Server(_)) | None => None,
    }
}
