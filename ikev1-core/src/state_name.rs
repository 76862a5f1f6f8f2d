use core::fmt;

macro_rules! state_names {
    ($($(#[$meta:meta])* $variant:ident = $name:literal,)*) => {
        /// The state of an exchange, under the name routers show.
        ///
        /// Our states are structs that own what is known then; each maps to one of these. Names that
        /// belong to exchanges this crate does not run yet are here so that the list is whole.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum StateName {
            $($(#[$meta])* $variant,)*
        }

        impl StateName {
            /// All names, in the order of the manuals; those of base mode, which no manual has, at the end.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Returns the name routers show.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

state_names! {
    /// Main mode: nothing sent or received.
    MainIdle = "IDLE",
    /// Main mode, initiator: message 1 is sent, message 2 is awaited.
    MainSaSent = "SASENT",
    /// Main mode, responder: message 1 is answered, message 3 is awaited.
    MainSaRecv = "SARECV",
    /// Main mode, initiator: message 3 is sent, message 4 is awaited.
    MainKeSent = "KESENT",
    /// Main mode, responder: message 3 is answered, message 5 is awaited.
    MainKeRecv = "KERECV",
    /// Main mode, initiator: message 5 is sent, message 6 is awaited.
    MainAuthSent = "AUTHSENT",
    /// Main mode, responder: message 5 is taken in, message 6 is not sent.
    MainAuthRecv = "AUTHRECV",
    /// Main mode: both ends have proven who they are.
    MainUp = "UP",
    /// Quick mode, initiator: the caller is asked for an SPI.
    QuickStarting = "STARTING",
    /// Quick mode, initiator: message 1 is sent, message 2 is awaited.
    QuickWaitHashSaNonce = "WAIT_HASH_SA_NONCE",
    /// Quick mode, responder: message 2 is sent, message 3 is awaited.
    QuickWaitHash = "WAIT_HASH",
    /// Quick mode, responder: message 1 is being taken in.
    QuickReceivingMessage = "RECEIVING_MESSAGE",
    /// Quick mode, responder: the caller is asked for an SPI before message 2.
    QuickSendingHashSaNonce = "SENDING_HASH_SA_NONCE",
    /// Quick mode, initiator: message 3 is being sent.
    QuickSendingHash = "SENDING_HASH",
    /// Quick mode: the SAs are there.
    QuickDone = "DONE",
    /// Aggressive mode: nothing sent or received.
    AggressiveIdle = "IDLE",
    /// Aggressive mode: message 1 is sent.
    AggressiveSaKeSent = "SAKESENT",
    /// Aggressive mode: message 1 is taken in.
    AggressiveSaKeRecv = "SAKERECV",
    /// Aggressive mode: message 2 is sent.
    AggressiveSaKeAuthSent = "SAKEAUTHSENT",
    /// Aggressive mode: message 2 is taken in.
    AggressiveSaKeAuthRecv = "SAKEAUTHRECV",
    /// Aggressive mode: message 3 is sent.
    AggressiveAuthSent = "AUTHSENT",
    /// Aggressive mode: message 3 is taken in.
    AggressiveAuthRecv = "AUTHRECV",
    /// Aggressive mode: both ends have proven who they are.
    AggressiveUp = "UP",
    /// Transaction: nothing sent or received.
    TransactionIdle = "IDLE",
    /// Transaction: a request is sent.
    TransactionReqSent = "REQSENT",
    /// Transaction: a request is taken in.
    TransactionReqRecv = "REQRECV",
    /// Transaction: a reply is sent.
    TransactionRepSent = "REPSENT",
    /// Transaction: a reply is taken in.
    TransactionRepRecv = "REPRECV",
    /// Transaction: a set is sent.
    TransactionSetSent = "SETSENT",
    /// Transaction: a set is taken in.
    TransactionSetRecv = "SETRECV",
    /// Transaction: an acknowledgement is sent.
    TransactionAckSent = "ACKSENT",
    /// Transaction: an acknowledgement is taken in.
    TransactionAckRecv = "ACKRECV",
    /// Transaction: done.
    TransactionUp = "UP",
    /// Informational: nothing sent or received.
    InfoIdle = "IDLE",
    /// Informational: R-U-THERE is being sent.
    InfoSendRut = "SEND_RUT",
    /// Informational: the answer to R-U-THERE is awaited.
    InfoWaitRuta = "WAIT_RUTA",
    /// Informational: R-U-THERE-ACK is being sent.
    InfoSendRuta = "SEND_RUTA",
    /// Informational: done.
    InfoDone = "DONE",
    /// Any exchange: done, and kept to answer repeats of the peer's last message.
    DeleteDelay = "DELETEDELAY",
    /// Base mode: nothing sent or received.
    BaseIdle = "IDLE",
    /// Base mode, initiator: message 1 is sent, message 2 is awaited.
    BaseSaSent = "SASENT",
    /// Base mode, responder: message 1 is answered, message 3 is awaited.
    BaseSaRecv = "SARECV",
    /// Base mode, initiator: message 3 is sent, message 4 is awaited.
    BaseKeAuthSent = "KEAUTHSENT",
    /// Base mode: the peer's key exchange and proof are being checked.
    BaseKeAuthRecv = "KEAUTHRECV",
    /// Base mode: both ends have proven who they are.
    BaseUp = "UP",
}

impl fmt::Display for StateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl StateName {
    /// Returns the phase 1 status that a SEIL router shows, `None` outside phase 1.
    pub const fn seil_phase1(self) -> Option<&'static str> {
        if matches!(self, Self::MainIdle | Self::AggressiveIdle | Self::BaseIdle) {
            Some("spawn")
        } else if matches!(self, Self::MainSaSent | Self::AggressiveSaKeSent | Self::BaseSaSent) {
            Some("start")
        } else if matches!(self, Self::MainSaRecv | Self::AggressiveSaKeRecv | Self::BaseSaRecv) {
            Some("1st message received")
        } else if matches!(self, Self::MainKeSent | Self::AggressiveSaKeAuthSent | Self::AggressiveSaKeAuthRecv) {
            Some("2nd message sent")
        } else if matches!(self, Self::MainKeRecv | Self::MainAuthSent | Self::MainAuthRecv)
            || matches!(self, Self::AggressiveAuthSent | Self::AggressiveAuthRecv)
            || matches!(self, Self::BaseKeAuthSent | Self::BaseKeAuthRecv)
        {
            Some("3rd message received")
        } else if matches!(self, Self::MainUp | Self::AggressiveUp | Self::BaseUp) {
            Some("established")
        } else {
            None
        }
    }

    /// Returns the name that Cisco's displays have for the exchange or SA in this state.
    pub const fn cisco(self) -> &'static str {
        match self {
            Self::MainUp => "QM_IDLE",
            Self::MainIdle
            | Self::MainSaSent
            | Self::MainSaRecv
            | Self::MainKeSent
            | Self::MainKeRecv
            | Self::MainAuthSent
            | Self::MainAuthRecv => "OAK_MM exchange",
            Self::QuickDone => "OAK_QM_IDLE",
            Self::QuickWaitHash => "OAK_QM_AUTH_AWAIT",
            Self::QuickStarting
            | Self::QuickWaitHashSaNonce
            | Self::QuickReceivingMessage
            | Self::QuickSendingHashSaNonce
            | Self::QuickSendingHash => "OAK_QM exchange",
            Self::AggressiveIdle
            | Self::AggressiveSaKeSent
            | Self::AggressiveSaKeRecv
            | Self::AggressiveSaKeAuthSent
            | Self::AggressiveSaKeAuthRecv
            | Self::AggressiveAuthSent
            | Self::AggressiveAuthRecv => "OAK_AG exchange",
            Self::AggressiveUp | Self::BaseUp => "QM_IDLE",
            // Cisco has no base mode; the name is formed like the others.
            Self::BaseIdle | Self::BaseSaSent | Self::BaseSaRecv | Self::BaseKeAuthSent | Self::BaseKeAuthRecv => {
                "OAK_BM exchange"
            }
            Self::TransactionIdle
            | Self::TransactionReqSent
            | Self::TransactionReqRecv
            | Self::TransactionRepSent
            | Self::TransactionRepRecv
            | Self::TransactionSetSent
            | Self::TransactionSetRecv
            | Self::TransactionAckSent
            | Self::TransactionAckRecv
            | Self::TransactionUp => "ISAKMP_TRANSACTION exchange",
            Self::InfoIdle
            | Self::InfoSendRut
            | Self::InfoWaitRuta
            | Self::InfoSendRuta
            | Self::InfoDone
            | Self::DeleteDelay => "INFO",
        }
    }
}

/// The state of liveness checks with a peer, under the names routers show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DpdState {
    /// Asks and answers; the peer was heard lately.
    Active,
    /// Answers only.
    ActiveReceive,
    /// The peer was silent and is asked for the first time.
    IdleQuery,
    /// The peer did not answer and is asked again.
    IdleQueryRetry,
    /// The peer did not answer to the end.
    Dead,
    /// This end would ask, but the peer does not know how to answer.
    None,
    /// This end does not take part.
    Off,
}

impl DpdState {
    /// Returns the name routers show, and its short form.
    pub const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Active => ("Active", "Act"),
            Self::ActiveReceive => ("ActiveReceive", "ActRx"),
            Self::IdleQuery => ("IdleQuery", "IdlQy"),
            Self::IdleQueryRetry => ("IdleQueryRetry", "IdlQR"),
            Self::Dead => ("Dead", "Dead"),
            Self::None => ("None", "None"),
            Self::Off => ("", ""),
        }
    }
}

impl fmt::Display for DpdState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.names().0)
    }
}

/// The state of an ISAKMP SA, under the names routers show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum IkeSaState {
    /// Phase 1 is at work; Cisco counts these as `Embryonic`.
    Embryonic,
    /// Ready for phase 2.
    Active,
    /// A new group is being negotiated.
    DoingNewGroup,
    /// The user is being asked who he is.
    DoingXauth,
    /// Replaced or at the end of its life: kept only to take in what is under way.
    Expired,
}

impl fmt::Display for IkeSaState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Embryonic => "Embryonic",
            Self::Active => "ACTIVE",
            Self::DoingNewGroup => "DOING_NEW_GROUP",
            Self::DoingXauth => "DOING_XAUTH",
            Self::Expired => "EXPIRED",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// The names of the router's manual, exchange by exchange.
    #[test]
    fn every_state_name_of_the_router_is_mapped() {
        let names: Vec<_> = StateName::ALL.iter().map(|state| state.name()).collect();
        assert_eq!(
            names,
            [
                "IDLE",
                "SASENT",
                "SARECV",
                "KESENT",
                "KERECV",
                "AUTHSENT",
                "AUTHRECV",
                "UP",
                "STARTING",
                "WAIT_HASH_SA_NONCE",
                "WAIT_HASH",
                "RECEIVING_MESSAGE",
                "SENDING_HASH_SA_NONCE",
                "SENDING_HASH",
                "DONE",
                "IDLE",
                "SAKESENT",
                "SAKERECV",
                "SAKEAUTHSENT",
                "SAKEAUTHRECV",
                "AUTHSENT",
                "AUTHRECV",
                "UP",
                "IDLE",
                "REQSENT",
                "REQRECV",
                "REPSENT",
                "REPRECV",
                "SETSENT",
                "SETRECV",
                "ACKSENT",
                "ACKRECV",
                "UP",
                "IDLE",
                "SEND_RUT",
                "WAIT_RUTA",
                "SEND_RUTA",
                "DONE",
                "DELETEDELAY",
                // Ours, for base mode.
                "IDLE",
                "SASENT",
                "SARECV",
                "KEAUTHSENT",
                "KEAUTHRECV",
                "UP",
            ]
        );
    }
}
