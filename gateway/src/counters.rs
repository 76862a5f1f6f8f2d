drive::counters! {
    /// What became of packets at the boundary.
    pub struct Counters {
        /// Clear packets given in to be sent.
        out_packets => "outProcessPkt",
        /// Those that left protected.
        out_sealed => "outProcessPktFinished",
        /// Those that no policy names.
        out_no_policy => "outNoPolicyFound",
        /// Those that a policy lets pass in clear.
        out_bypassed => "outBypass",
        /// Those that a policy drops.
        out_discarded => "outDiscard",
        /// Fragments whose policy cannot be told.
        out_fragments_refused => "outFragmentsRefused",
        /// ICMP errors that no policy wants by their header, and that left as what they are about does.
        out_errors => "outIcmpErrors",
        /// Those whose headers lie.
        out_malformed => "outMalformed",
        /// Those that were put to wait for an association.
        out_waited => "outWaited",
        /// Those dropped because a negotiation failed a moment ago.
        out_resting => "outResting",
        /// Those that could not be sealed.
        out_unsealed => "outProcessFail",
        /// Packets that waited and were dropped: the queue was full, or the negotiation failed.
        waiting_dropped => "outWaitedDropped",
        /// Those too long for their path that must not be fragmented.
        out_too_long => "outTooLong",
        /// Those that left in fragments, each sealed by itself.
        out_parted => "outFragmented",
        /// Reports of routers about a path that were taken.
        reports_taken => "pathMtuReports",
        /// Reports of routers that were not believed.
        reports_refused => "pathMtuReportsRefused",
        /// Whole packets to send that were copied: given in one by one, put to wait, or parted. In batches none is.
        out_copies => "outBufChainCopy",
        /// ESP packets given in.
        in_packets => "inProcessPkt",
        /// Those that came out clear and were delivered.
        in_opened => "inProcessPktFinished",
        /// Those that no association takes, or whose integrity, number or padding is wrong.
        in_not_opened => "inProcessFail",
        /// Those that hold no packet of the kind announced.
        in_malformed => "inMalformed",
        /// Those with a congestion mark outside on a packet that cannot carry it, RFC 6040 §4.2.
        in_congestion => "inCongestionDropped",
        /// Those without room in their buffer for the packet that came out.
        in_no_room => "inNoRoom",
        /// Those that came out of AH and are not the ESP that their bundle has inside.
        in_bundle_unfinished => "inPrematureEndBundle",
        /// Those whose content is outside the traffic that was negotiated.
        in_outside => "inPolSelectMatchFail",
        /// Those whose content the policies do not want from their association.
        in_policy_refused => "inPolicyActionFail",
        /// ICMP errors taken because they are about the traffic of their association.
        in_errors => "inIcmpErrors",
        /// Ports lent to peers that use what another peer behind the same NAT uses.
        in_ports_lent => "inPortsLent",
        /// Packets that do so and could be lent no port: there is none left, or their protocol has none.
        in_flow_taken => "inFlowTaken",
        /// Fragments that came protected and whose policy cannot be told.
        in_fragments_refused => "inFragmentsRefused",
        /// Clear packets that arrived where protected ones are expected.
        in_clear => "inClear",
        /// Those of them that a policy lets pass.
        in_bypassed => "inBypass",
        /// Those of them that no policy names.
        in_no_policy => "inNoPolicyFound",
        /// Those of them that a policy drops, or wants protected.
        in_clear_refused => "inClearRefused",
        /// Datagrams that are neither IKE nor ESP nor a keepalive.
        in_not_ours => "inNotOurs",
        /// NAT keepalives.
        in_keepalives => "inKeepalive",
        /// Whole packets received that were copied: given in one by one. In batches none is.
        in_copies => "inBufChainCopy",
        /// Events dropped because the caller did not take them.
        events_dropped => "eventsDropped",
        /// Lines of the policy debugger dropped because the caller did not take those before.
        traces_dropped => "tracesDropped",
    }
}

/// Counts one.
pub(crate) fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}
