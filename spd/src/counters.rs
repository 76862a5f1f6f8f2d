use crate::{FragmentRefusal, Refusal};

drive::counters! {
    /// What was asked of the database as a whole.
    pub struct DatabaseCounters {
        /// A packet found its policy.
        match_good => "policyMatchSelectorsGood",
        /// A packet found none.
        match_failed => "policyMatchSelectorsFailed",
        /// A policy was added.
        add_good => "policyAddGood",
        /// A policy was refused.
        add_failed => "policyAddFailed",
        /// A policy was removed.
        delete_good => "policyDeleteGood",
        /// There was no such policy to remove.
        delete_failed => "policyDeleteFailed",
        /// A policy was looked up.
        get_good => "policyGetGood",
        /// There was no such policy to look up.
        get_failed => "policyGetFailed",
        /// A policy was shown as it is configured.
        get_config_good => "policyGetConfigGood",
        /// There was no such policy to show.
        get_config_failed => "policyGetConfigFailed",
        /// A policy was replaced.
        set_config_good => "policySetConfigGood",
        /// A policy was not replaced.
        set_config_failed => "policySetConfigFailed",
        /// A policy was found by its peer.
        find_by_peer_good => "policyFindByPeerGood",
        /// No policy was found by its peer.
        find_by_peer_failed => "policyFindByPeerFailed",
    }
}

drive::counters! {
    /// Which selectors refused packets. Counted where policies are walked one by one: by `explain`.
    pub struct FilterCounters {
        /// [`Refusal::LocalAddressMask`].
        local_address_mask => "localAddressMaskFailed",
        /// [`Refusal::LocalAddressRange`].
        local_address_range => "localAddressRangeFailed",
        /// [`Refusal::RemoteAddressMask`].
        remote_address_mask => "remoteAddressMaskFailed",
        /// [`Refusal::RemoteAddressRange`].
        remote_address_range => "remoteAddressRangeFailed",
        /// [`Refusal::LocalPort`].
        local_port => "localPortFailed",
        /// [`Refusal::RemotePort`].
        remote_port => "remotePortFailed",
        /// [`Refusal::LocalName`].
        local_name => "localNameFailed",
        /// [`Refusal::RemoteName`].
        remote_name => "remoteNameFailed",
        /// [`Refusal::Protocol`].
        protocol => "transportProtoFailed",
        /// [`Refusal::Message`].
        message => "icmpTypeFailed",
        /// [`Refusal::NeighbourDiscovery`].
        neighbour_discovery => "neighbourDiscFailed",
        /// [`Refusal::Direction`].
        direction => "directionFailed",
    }
}

impl FilterCounters {
    pub(crate) fn count(&mut self, refusal: Refusal) {
        let counter = match refusal {
            Refusal::LocalAddressMask => &mut self.local_address_mask,
            Refusal::LocalAddressRange => &mut self.local_address_range,
            Refusal::RemoteAddressMask => &mut self.remote_address_mask,
            Refusal::RemoteAddressRange => &mut self.remote_address_range,
            Refusal::Protocol => &mut self.protocol,
            Refusal::LocalPort => &mut self.local_port,
            Refusal::RemotePort => &mut self.remote_port,
            Refusal::Message => &mut self.message,
            Refusal::NeighbourDiscovery => &mut self.neighbour_discovery,
            Refusal::LocalName => &mut self.local_name,
            Refusal::RemoteName => &mut self.remote_name,
            Refusal::Direction => &mut self.direction,
        };
        *counter = counter.saturating_add(1);
    }
}

drive::counters! {
    /// What became of fragments, RFC 4301 §7.
    pub struct FragmentCounters {
        /// First fragments that were remembered.
        first => "fragmentFirst",
        /// Later fragments that met the policy of their first.
        followed => "fragmentFollowed",
        /// [`FragmentRefusal::Malformed`].
        malformed => "fragmentMalformed",
        /// [`FragmentRefusal::TooLong`].
        too_long => "fragmentTooLong",
        /// [`FragmentRefusal::Tiny`].
        tiny => "fragmentTiny",
        /// [`FragmentRefusal::Overlap`].
        overlap => "fragmentOverlap",
        /// [`FragmentRefusal::NoFirst`].
        no_first => "fragmentNoFirst",
        /// [`FragmentRefusal::NotAgreed`].
        not_agreed => "fragmentNotAgreed",
        /// First fragments that took the place of one of the same number.
        replaced => "fragmentReplaced",
        /// First fragments forgotten because there were too many.
        evicted => "fragmentEvicted",
        /// First fragments forgotten because their time was over.
        expired => "fragmentExpired",
    }
}

impl FragmentCounters {
    pub(crate) fn count(&mut self, refusal: FragmentRefusal) {
        let counter = match refusal {
            FragmentRefusal::Malformed => &mut self.malformed,
            FragmentRefusal::TooLong => &mut self.too_long,
            FragmentRefusal::Tiny => &mut self.tiny,
            FragmentRefusal::Overlap => &mut self.overlap,
            FragmentRefusal::NoFirst => &mut self.no_first,
            FragmentRefusal::NotAgreed => &mut self.not_agreed,
        };
        *counter = counter.saturating_add(1);
    }
}

drive::counters! {
    /// What became of one policy's packets and associations.
    ///
    /// The database counts denials, permits and failed checks; whoever sets up associations and
    /// processes packets counts the rest.
    pub struct PolicyCounters {
        /// Bundle set-ups started.
        setup_started => "setupStarted",
        /// Association set-ups started.
        setup_sa_setup_started => "setupSaSetupStarted",
        /// Bundle set-ups done.
        setup_done => "setupDone",
        /// Bundle removals started.
        remove_started => "removeStarted",
        /// Bundle removals done.
        remove_done => "removeDone",
        /// Association set-ups that failed at once.
        setup_sa_setup_fail_imm => "setupSaSetupFailImm",
        /// Association set-ups that failed.
        setup_sa_setup_failed => "setupSaSetupFailed",
        /// Bundle set-ups that failed.
        setup_failed => "setupFailed",
        /// Association removals started.
        remove_sa_setup_started => "removeSaSetupStarted",
        /// Packets to send that matched, and the policy says discard.
        out_deny => "outDeny",
        /// Packets to send that matched, and the policy says bypass.
        out_permit => "outPermit",
        /// Packets to send that matched while there was no bundle.
        out_no_bundle => "outNoBundle",
        /// Packets dropped because there was no bundle.
        out_no_bundle_fail => "outNoBundleFail",
        /// Set-ups that could not be described.
        out_make_setup_struct_fail => "outMakeSetupStrctFail",
        /// Set-ups that failed with a packet waiting.
        out_setup_bundle_fail => "outSetupBundleFail",
        /// Soft byte limits reached by packets sent.
        out_bundle_soft_expire => "outBundleSoftExpire",
        /// Hard byte limits reached by packets sent.
        out_bundle_expire => "outBundleExpire",
        /// Packets to send whose processing started.
        out_process_start => "outProcessStart",
        /// Packets to send whose processing failed at once: those too long for their path too.
        out_process_fail_imm => "outProcessFailImm",
        /// Packets to send for which no bundle was in a valid state.
        out_bundle_state_bad => "outBundleStateBad",
        /// Packets to send whose processing failed.
        out_process_fail => "outProcessFail",
        /// Packets to send whose processing is done.
        out_process_done => "outProcessDone",
        /// Received packets that matched, and the policy says discard.
        in_deny => "inDeny",
        /// Received packets that matched, and the policy says bypass.
        in_permit => "inPermit",
        /// Packets that arrived uncompressed where compression was agreed.
        in_comp_uncompressed => "inCompUncompressed",
        /// Clear packets that matched a policy which says protect.
        in_action_ipsec_fail => "inActionIpsecFail",
        /// Received packets for which no bundle was in a valid state.
        in_bundle_state_bad => "inBundleStateBad",
        /// Packets that came in on an association which is not the first of its bundle.
        in_not_first_sa_in_bundle => "inNotFirstSaInBundle",
        /// Received packets whose processing started.
        in_process_start => "inProcessStart",
        /// Received packets whose processing failed at once.
        in_process_fail_imm => "inProcessFailImm",
        /// Received packets whose processing failed.
        in_process_fail => "inProcessFail",
        /// Received packets whose processing is done.
        in_process_done => "inProcessDone",
        /// Packets still protected where their bundle is at its end.
        in_end_of_bundle => "inEndOfBundle",
        /// Packets that were finished before all associations of the bundle were used.
        in_premature_end_bundle => "inPrematureEndBundle",
        /// Packets for which no association of the bundle matched.
        in_bundle_sa_match_fail => "inBundleSaMatchFail",
        /// Packets that came protected and matched a policy which does not say protect.
        in_policy_action_fail => "inPolicyActionFail",
        /// Packets that came protected and do not satisfy the selectors of their policy.
        in_pol_select_match_fail => "inPolSelectMatchFail",
        /// Old bundles removed because a packet came in on the new one.
        in_bundle_replaced => "inBundleReplaced",
        /// Soft byte limits reached by packets received.
        in_bundle_soft_expire => "inBundleSoftExpire",
        /// Hard byte limits reached by packets received.
        in_bundle_expire => "inBundleExpire",
    }
}
