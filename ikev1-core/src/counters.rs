use crate::error::DropReason;

macro_rules! counters {
    ($($(#[$meta:meta])* $field:ident = $name:literal,)*) => {
        /// Counts of everything that happened, under the names routers show in the category GENERAL.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Counters {
            $($(#[$meta])* pub $field: u64,)*
        }

        impl Counters {
            /// The names routers use, in the order of their display.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            /// Returns every counter with the name routers use.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$(($name, self.$field)),*].into_iter()
            }
        }
    };
}

counters! {
    /// Acquire requests of the IPsec side.
    acquire = "acquire",
    /// Acquires that no policy takes.
    acquire_no_policy = "acquireNoPolicy",
    /// Acquires without an ISAKMP SA to run under: phase 1 is started.
    acquire_no_sa = "acquireNoSa",
    /// Acquires equal to one that waits.
    acquire_equivalent_found = "acquireEquivFound",
    /// Acquires equal to a phase 2 at work.
    acquire_phase2_equivalent = "acqPh2EquivInProgress",
    /// Acquires whose phase 1 could not start.
    acquire_phase1_start_failed = "acqPh1XchgStartFailed",
    /// Acquires whose phase 2 could not start.
    acquire_phase2_start_failed = "acqPh2XchgStartFailed",
    /// Acquires that wait for phase 1.
    acquire_queued = "acquireQueued",
    /// Acquires whose peer address and name disagree.
    acquire_peer_inconsistent = "acqPeerAddrNameIncons",
    /// Prenegotiations without policy.
    acquire_prenegotiate_no_policy = "acquirePrenegNoPolicy",
    /// Reports of an unknown SPI.
    bad_spi_requests = "badSpiRequests",
    /// Reports of an unknown SPI that name a known peer.
    bad_spi_known_peer = "badSpiFromKnownPeer",
    /// Reports of an unknown SPI refused for aggressive mode.
    bad_spi_aggressive = "badSpiInAggrMode",
    /// Reports of an unknown SPI refused because notifications are off.
    bad_spi_notify_off = "badSpiSendNotifyUnset",
    /// Phase 1.5 exchanges that could not start.
    phase15_start_failed = "msgInitPh1p5StartFail",
    /// Exchanges that ended well.
    done_good = "doneGood",
    /// Phase 1 exchanges that failed.
    done_phase1_failed = "donePhase1Failed",
    /// CONNECTED notifications that had no SA to go under.
    done_connected_no_sa = "doneSendConNoSa",
    /// Messages built to be sent.
    message_tx = "msgTx",
    /// Datagrams handed to the caller, resends included.
    message_sent = "msgTxd",
    /// Encryptions whose exchange was gone.
    tx_encrypt_no_exchange = "txEncryptNoExchange",
    /// Encryptions without a cipher.
    tx_encrypt_no_process = "msgTxEncryptNoEncoPrc",
    /// Encryptions begun.
    tx_encrypt_start = "msgTxStartEncrypt",
    /// Encryptions that failed.
    tx_encrypt_failed = "txEncryptFail",
    /// Encryptions that went well.
    tx_encrypt_good = "txEncryptGood",
    /// ISAKMP SAs whose kilobytes ran out on sending.
    tx_encrypt_kbytes = "msgTxEncryptExpKBytes",
    /// Resends.
    tx_retry = "txRetryTxd",
    /// Exchanges that ended after the last resend.
    tx_retry_timed_out = "txRetryXchgTimedOut",
    /// New attempts at phase 1.
    retry_phase1 = "retryIkeAttemptsPh1",
    /// New attempts at phase 2.
    retry_phase2 = "retryIkeAttemptsPh2",
    /// Datagrams received.
    message_rx = "msgRxd",
    /// Header lengths that are not the datagram's.
    rx_inconsistent_length = "msgRxInconsistLengths",
    /// Datagrams too short or too long.
    rx_bad_length = "msgRxBadLength",
    /// Flags or reserved bits set.
    rx_bad_reserved = "msgRxBadReserved",
    /// Versions other than 1.
    rx_bad_version = "msgRxBadVersion",
    /// First payloads that cannot stand there.
    rx_bad_next_payload = "msgRxBadNextPayload",
    /// Messages not expected in the state of their exchange.
    rx_unexpected = "msgRxUnexpectedMsg",
    /// Messages without an exchange.
    rx_no_exchange = "msgRxNoExchange",
    /// Phase 1 messages without an exchange.
    rx_no_exchange_phase1 = "msgRxNoExchangePhase1",
    /// Phase 1 messages without an exchange that are no first message.
    rx_phase1_not_first = "msgRxP1NoXcgNot1stMsg",
    /// Unknown exchange types in phase 1.
    rx_phase1_unknown_type = "msgRxPh1UnkwnXchgType",
    /// Phase 1 exchanges that could not start.
    rx_phase1_start_failed = "msgRxPh1XchgStartFail",
    /// Phase 1 messages with a message id.
    rx_phase1_message_id = "msgRxPh1MsgIdNotZero",
    /// Phase 1.5 exchanges that could not start.
    rx_phase15_start_failed = "msgRxP15XchgStartFail",
    /// Phase 2 messages without an ISAKMP SA.
    rx_phase2_no_sa = "msgRxPhase2NoSa",
    /// Phase 2 messages without an exchange.
    rx_no_exchange_phase2 = "msgRxNoExchangePhase2",
    /// Phase 2 exchanges that could not start.
    rx_phase2_start_failed = "msgRxPh2XchgStartFail",
    /// Unknown exchange types in phase 2.
    rx_phase2_unknown_type = "msgRxPh2UnkwnXchgType",
    /// Encrypted messages received.
    rx_encrypted = "msgRxEncrypted",
    /// Encrypted messages where none was expected.
    rx_encrypted_unexpected = "msgRxEncryptdUnexpect",
    /// Messages with bad padding.
    rx_bad_pad = "msgRxBadPad",
    /// Messages with a bad padding length.
    rx_bad_pad_length = "msgRxBadPadLength",
    /// Payloads with a bad next payload.
    rx_payload_next = "msgRxPayBadNextPay",
    /// Payloads with reserved bits set.
    rx_payload_reserved = "msgRxPayBadReserved",
    /// Decryptions without a cipher.
    rx_decrypt_no_process = "msgRxDecryptNoEncoPrc",
    /// Decryptions begun.
    rx_decrypt_start = "msgRxStartDecrypt",
    /// Clear messages received.
    rx_plain = "msgRxPlain",
    /// Clear messages where encryption was due.
    rx_plain_unexpected = "msgRxPlainUnexpected",
    /// Changes of address or port that were refused.
    rx_bad_port_change = "msgRxBadPortIpChange",
    /// Messages that came to the port both ends have left.
    rx_old_port = "msgRxFailOldPort",
    /// Payloads with a bad length.
    rx_payload_length = "msgRxPayBadLength",
    /// Decryptions whose exchange was gone.
    rx_decrypt_no_exchange = "rxDecryptNoExchange",
    /// Ciphertexts that are not whole blocks.
    rx_decrypted_length = "rxDecryptedBadLength",
    /// Decryptions that gave well-formed payloads.
    rx_decrypt_good = "rxDecryptGood",
    /// Decryptions that gave garbage.
    rx_decrypt_failed = "rxDecryptFail",
    /// Bad padding after decryption.
    rx_decrypted_pad = "rxDecryptedBadPad",
    /// Bad padding length after decryption.
    rx_decrypted_pad_length = "rxDecryptBadPadLength",
    /// Payloads with a bad next payload after decryption.
    rx_decrypted_next = "rxDecrptPayBadNextPay",
    /// Payloads with reserved bits set after decryption.
    rx_decrypted_reserved = "rxDecryptPayBadRsvd",
    /// Payloads with a bad length after decryption.
    rx_decrypted_payload_length = "rxDecryptPayBadLength",
    /// Informational exchanges that no policy takes.
    info_no_policy = "infoNoMatchingPolicy",
    /// Phase 1 notifications not sent because they are off.
    info_phase1_notify_off = "infoPh1NotifyDisabled",
    /// Phase 1 Deletes that were not allowed to act.
    info_phase1_delete_refused = "infoPh1NoDelAllowed",
    /// Phase 1 informational exchanges that could not start.
    info_phase1_start_failed = "infoPh1ExchgStartFail",
    /// Notifications and Deletes that name no SA of the peer.
    info_phase2_sa_not_found = "infoPh2SANotFound",
    /// Informational exchanges under an ISAKMP SA that is not up.
    info_phase2_sa_inactive = "infoPh2SANotActive",
    /// Phase 2 notifications not sent because they are off.
    info_phase2_notify_off = "infoPh2NotifyDisabled",
    /// Phase 2 Deletes not sent because they are off.
    info_phase2_delete_off = "infoPh2DeleteDisabled",
    /// Phase 2 informational exchanges that could not start.
    info_phase2_start_failed = "infoPh2XchgStartFail",
    /// Exchanges kept to answer repeats.
    delete_delay_started = "deleteDelayStarted",
    /// Exchanges that needed no keeping.
    delete_delay_not_used = "deleteDelayNotUsed",
    /// Repeats received for kept exchanges.
    delete_delay_received = "deleteDelayPktsRxd",
    /// Last messages resent from kept exchanges.
    delete_delay_resent = "deleteDelayRetrySent",
    /// CONNECTED notifications resent.
    delete_delay_connected = "deleteDelayConSent",
    /// CONNECTED notifications not resent for want of an SA.
    delete_delay_connected_no_sa = "deleteDelayConNoSA",
    /// Repeats past the limit of resends.
    delete_delay_exceeded = "deleteDelayTxExceeded",
    /// Repeats that differ from the first copy.
    delete_delay_different = "deleteDelayPktDiff",
}

/// Counts that routers do not show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwnCounters {
    /// Datagrams dropped because of cookies nobody knows.
    pub unknown_cookies: u64,
    /// Datagrams whose HASH was wrong.
    pub wrong_hash: u64,
    /// Payload sets that the transition table does not allow.
    pub payload_set: u64,
    /// Replays of a finished message id.
    pub replays: u64,
    /// Repeats of a message, answered from the stored reply or not.
    pub duplicates: u64,
    /// First messages refused because too many SAs are half-open.
    pub half_open_refused: u64,
    /// Answers not sent to stay within the amplification budget.
    pub budget_refused: u64,
    /// Unprotected notifications, taken as hints.
    pub hints: u64,
    /// Unprotected Deletes and status notifications, ignored.
    pub unprotected: u64,
    /// Authenticated Deletes and notifications that name an SA of another peer.
    pub foreign_spi: u64,
    /// Datagrams dropped because a limit was reached.
    pub limits: u64,
    /// Datagrams that no connection takes.
    pub no_connection: u64,
    /// Lawful messages whose content was refused.
    pub refused: u64,
    /// Events dropped because the caller did not drain.
    pub events_dropped: u64,
    /// Pairs that went into force without the CONNECTED that the peer's commit bit had promised.
    pub connected_missing: u64,
    /// Heartbeats sent.
    pub heartbeats_sent: u64,
    /// Heartbeats received that count.
    pub heartbeats_received: u64,
    /// Heartbeats received whose number was not new.
    pub heartbeats_stale: u64,
    /// Requests for a group of the peer's making, refused.
    pub new_groups_refused: u64,
    /// Exchanges that failed, phase 2 and informational.
    pub exchanges_failed: u64,
    /// Messages dropped because peers that have proven nothing cause too much work.
    pub work_refused: u64,
    /// Messages of phase 2 that came before XAUTH and mode-config were done.
    pub not_open: u64,
    /// Answers of transactions under another identifier than the question's.
    pub wrong_identifier: u64,
    /// Parts of messages received.
    pub fragments_received: u64,
    /// Parts of messages dropped, or sets of them that were no message.
    pub fragments_refused: u64,
    /// Messages joined from parts.
    pub fragmented_received: u64,
    /// Messages of which parts were forgotten because the rest did not come.
    pub fragmented_expired: u64,
    /// Messages sent in parts, resends included.
    pub fragmented_sent: u64,
    /// Parts of messages sent.
    pub fragments_sent: u64,
}

impl Counters {
    /// Counts one dropped datagram.
    pub(crate) fn dropped(&mut self, own: &mut OwnCounters, reason: DropReason) {
        let counter = match reason {
            DropReason::BadLength | DropReason::NoMarker => &mut self.rx_bad_length,
            DropReason::InconsistentLength => &mut self.rx_inconsistent_length,
            DropReason::Version(_) => &mut self.rx_bad_version,
            DropReason::Flags(_) => &mut self.rx_bad_reserved,
            DropReason::BadCookies => &mut self.rx_phase1_not_first,
            DropReason::UnknownCookies => &mut own.unknown_cookies,
            DropReason::ExchangeType(_) => &mut self.rx_phase1_unknown_type,
            DropReason::MessageId(_) => &mut self.rx_phase1_message_id,
            DropReason::Unexpected | DropReason::Closed => &mut self.rx_unexpected,
            DropReason::ClearText => &mut self.rx_plain_unexpected,
            DropReason::NoKeys => &mut self.rx_encrypted_unexpected,
            DropReason::CiphertextLength => &mut self.rx_decrypted_length,
            DropReason::Malformed => &mut self.rx_payload_length,
            DropReason::DecryptFailed => &mut self.rx_decrypt_failed,
            DropReason::PayloadSet => &mut own.payload_set,
            DropReason::WrongHash => &mut own.wrong_hash,
            DropReason::Refused => &mut own.refused,
            DropReason::WrongSource => &mut self.rx_bad_port_change,
            DropReason::NoConnection => &mut own.no_connection,
            DropReason::HalfOpenLimit => &mut own.half_open_refused,
            DropReason::Limit => &mut own.limits,
            DropReason::Replay => &mut own.replays,
            DropReason::RepeatLimit => &mut self.delete_delay_exceeded,
            DropReason::Hint => &mut own.hints,
            DropReason::WorkLimit => &mut own.work_refused,
            DropReason::Fragment(_) => &mut own.fragments_refused,
            DropReason::Unprotected => &mut own.unprotected,
            DropReason::NotOpen => &mut own.not_open,
            DropReason::Identifier(_) => &mut own.wrong_identifier,
        };
        *counter = counter.saturating_add(1);
    }
}

/// Adds one to a counter.
pub(crate) fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_router_is_there_once() {
        let mut names = Counters::NAMES.to_vec();
        assert_eq!(names.len(), 87);
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 87);
    }

    #[test]
    fn a_drop_counts_exactly_once() {
        for reason in [DropReason::BadLength, DropReason::WrongHash, DropReason::Version(2), DropReason::Replay] {
            let (mut counters, mut own) = (Counters::default(), OwnCounters::default());
            counters.dropped(&mut own, reason);
            let router: u64 = counters.iter().map(|(_, value)| value).sum();
            let ours = own.wrong_hash + own.replays;
            assert_eq!(router + ours, 1, "{reason}");
        }
    }
}
