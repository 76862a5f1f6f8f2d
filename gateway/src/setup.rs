//! What is counted when pairs of associations come and go, beside the association database's own counters.

use crate::action::InstallRefusal;
use crate::counters::count;
use crate::demux::{AH, ESP, IPCOMP};
use crate::pump::Gateway;
use ikev1_core::proposal::Protection;
use ikev1_core::{ChildId, InstallSa, RemoveSa};
use sad::{LimitKind, Side};
use spd::PolicyCounters;

drive::counters! {
    /// What became of bundles and their specifications as a whole: a bundle is what one negotiation makes, a
    /// specification what the plan offers for it.
    pub struct BundleCounters {
        /// Protocols with their algorithms that the plan offers.
        sa_spec_add_good => "saSpecAddGood",
        /// Those that were refused: a plan that has one is not made.
        sa_spec_add_failed => "saSpecAddFailed",
        /// Negotiated protocols that the data path can do.
        sa_spec_get_good => "saSpecGetGood",
        /// Those that it cannot.
        sa_spec_get_failed => "saSpecGetFailed",
        /// Specifications taken away: a plan stands as long as its gateway.
        sa_spec_delete_good => "saSpecDeleteGood",
        /// Specifications that could not be taken away.
        sa_spec_delete_failed => "saSpecDeleteFailed",
        /// Alternatives that the plan offers, each of one or more protocols.
        bundle_spec_add_good => "bundleSpecAddGood",
        /// Those that were refused: a plan that has one is not made.
        bundle_spec_add_failed => "bundleSpecAddFailed",
        /// Negotiated combinations of protocols that the data path can do.
        bundle_spec_get_good => "bundleSpecGetGood",
        /// Those that it cannot.
        bundle_spec_get_failed => "bundleSpecGetFailed",
        /// Alternatives taken away: a plan stands as long as its gateway.
        bundle_spec_delete_good => "bundleSpecDeleteGood",
        /// Alternatives that could not be taken away.
        bundle_spec_delete_failed => "bundleSpecDeleteFailed",
        /// Set-ups whose negotiated protocol the data path cannot do.
        setup_get_sa_spec_fail => "bundleSetupGetSaSpecFail",
        /// Set-ups for no policy of the plan.
        setup_get_policy_fail => "bundleSetupGetPolicyFail",
        /// Set-ups started.
        setup_started => "bundleSetupStarted",
        /// Associations that could not even be begun: there was no SPI.
        setup_sa_setup_fail_imm => "bundleSetupSaSetupFailImm",
        /// Associations begun.
        setup_sa_setup_started => "bundleSetupSaSetupStarted",
        /// Associations that were not made in the end.
        setup_sa_setup_failed => "bundleSetupSaSetupFailed",
        /// Set-ups done.
        setup_done => "bundleSetupDone",
        /// Set-ups that failed.
        setup_failed => "bundleSetupFailed",
        /// Set-ups cut off by a removal.
        setup_bundle_removing => "bundleSetupBundleRemoving",
        /// Removals started.
        remove_started => "bundleRemoveStarted",
        /// Associations whose removal was started.
        remove_sa_setup_started => "bundleRemoveSaSetupStarted",
        /// Removals done.
        remove_done => "bundleRemoveDone",
    }
}

drive::counters! {
    /// What became of the associations of one protocol while they were made and removed: the names stand behind
    /// that of the protocol. Those that were made and removed are in [`sad::ProtocolCounters`] for ESP and AH.
    pub struct SetupCounters {
        /// The larval association was gone when its keys came.
        setup_get_sa_failed => "SetupGetSaFailed",
        /// The cipher refused its key.
        setup_enc_setup_failed => "SetupEncSetupFailed",
        /// The integrity algorithm refused its key.
        setup_hash_setup_fail_imm => "SetupHashSetupFailImm",
        /// The bundle went while the cipher was set up, which takes no time here.
        setup_enc_setup_bundle_rm => "SetupEncSetupBundleRm",
        /// Set-ups that failed.
        setup_failed => "SetupFailed",
        /// Set-ups done, for both directions.
        setup_done => "SetupDone",
        /// There was no pair to remove it from.
        remove_get_sa_failed => "RemoveGetSaFailed",
        /// The pair was there without it.
        remove_nothing_done => "RemoveNothingDone",
        /// The integrity algorithm could not be removed, which cannot fail here.
        remove_hash_fail_imm => "RemoveHashFailImm",
        /// Removals done.
        remove_done => "RemoveDone",
    }
}

/// What is counted while pairs are made and removed, for each protocol and for all together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setups {
    pub(crate) bundle: BundleCounters,
    pub(crate) esp: SetupCounters,
    pub(crate) ah: SetupCounters,
    pub(crate) comp: SetupCounters,
}

impl Setups {
    /// Counts what the plan offers.
    pub(crate) fn count_specifications(&mut self, plan: &ikev1_core::Plan) {
        let policies = plan.connections().flat_map(|(_, connection)| connection.policies());
        for bundle in policies.flat_map(|(_, policy)| policy.suites()) {
            count(&mut self.bundle.bundle_spec_add_good);
            let specifications = &mut self.bundle.sa_spec_add_good;
            *specifications = specifications.saturating_add(bundle.parts().len() as u64);
        }
    }

    fn of(&mut self, protocol: u8) -> Option<&mut SetupCounters> {
        match protocol {
            ESP => Some(&mut self.esp),
            AH => Some(&mut self.ah),
            IPCOMP => Some(&mut self.comp),
            _ => None,
        }
    }
}

impl Gateway {
    /// Counts a bundle for the gateway and for its policy.
    fn count_bundle(
        &mut self,
        policy: Option<spd::PolicyId>,
        of: impl FnOnce(&mut BundleCounters) -> &mut u64,
        of_policy: impl FnOnce(&mut PolicyCounters) -> &mut u64,
    ) {
        count(of(&mut self.setups.bundle));
        if let Some(policy) = policy {
            self.count_policy(policy, of_policy);
        }
    }

    /// Counts that an association was begun, and its bundle with the first of them.
    pub(crate) fn count_begun(&mut self, question: &ikev1_core::AllocateSpi, has_spi: bool) {
        let template = self.routes.template(question.connection, question.policy);
        let policy = template.and_then(|template| self.routes.of(template)).map(|route| route.spd);
        if self.making.insert(question.child, policy).is_none() {
            self.count_bundle(policy, |all| &mut all.setup_started, |of| &mut of.setup_started);
        }
        if has_spi {
            self.count_bundle(policy, |all| &mut all.setup_sa_setup_started, |of| &mut of.setup_sa_setup_started);
        } else {
            self.count_bundle(policy, |all| &mut all.setup_sa_setup_fail_imm, |of| &mut of.setup_sa_setup_fail_imm);
        }
    }

    /// Counts that both directions of a pair stand.
    pub(crate) fn count_made(&mut self, install: &InstallSa, policy: spd::PolicyId) {
        self.making.remove(&install.child);
        self.count_bundle(Some(policy), |all| &mut all.setup_done, |of| &mut of.setup_done);
        count(&mut self.setups.bundle.bundle_spec_get_good);
        for sa in &install.sas {
            count(&mut self.setups.bundle.sa_spec_get_good);
            if let Some(counters) = self.setups.of(number(sa.suite)) {
                count(&mut counters.setup_done);
            }
        }
    }

    /// Counts that a half of a pair was not installed, and why.
    pub(crate) fn count_refused(&mut self, install: &InstallSa, reason: InstallRefusal) {
        let template = self.routes.template(install.connection, install.policy);
        let policy = template.and_then(|template| self.routes.of(template)).map(|route| route.spd);
        let bundle = &mut self.setups.bundle;
        match reason {
            InstallRefusal::UnknownPolicy => count(&mut bundle.setup_get_policy_fail),
            InstallRefusal::Suite => {
                count(&mut bundle.setup_get_sa_spec_fail);
                count(&mut bundle.sa_spec_get_failed);
                count(&mut bundle.bundle_spec_get_failed);
            }
            InstallRefusal::Order | InstallRefusal::AhInUdp => count(&mut bundle.bundle_spec_get_failed),
            InstallRefusal::SpiGone
            | InstallRefusal::ReservedSpi
            | InstallRefusal::Contested { .. }
            | InstallRefusal::Keys(_)
            | InstallRefusal::Database(_) => {}
        }
        for protocol in install.sas.iter().map(|sa| number(sa.suite)) {
            self.count_bundle(policy, |all| &mut all.setup_sa_setup_failed, |of| &mut of.setup_sa_setup_failed);
            let Some(counters) = self.setups.of(protocol) else { continue };
            count(&mut counters.setup_failed);
            match reason {
                InstallRefusal::SpiGone => count(&mut counters.setup_get_sa_failed),
                InstallRefusal::Keys(_) if protocol == ESP => count(&mut counters.setup_enc_setup_failed),
                InstallRefusal::Keys(_) => count(&mut counters.setup_hash_setup_fail_imm),
                InstallRefusal::UnknownPolicy
                | InstallRefusal::Suite
                | InstallRefusal::Order
                | InstallRefusal::AhInUdp
                | InstallRefusal::ReservedSpi
                | InstallRefusal::Contested { .. }
                | InstallRefusal::Database(_) => {}
            }
        }
        self.count_unmade(install.child);
    }

    /// Counts a set-up that came to nothing, once.
    pub(crate) fn count_unmade(&mut self, child: ChildId) {
        if let Some(policy) = self.making.remove(&child) {
            self.count_bundle(policy, |all| &mut all.setup_failed, |of| &mut of.setup_failed);
        }
    }

    /// Counts limits in octets that an association reached, for its policy.
    pub(crate) fn count_expiry(&mut self, action: &sad::Action) {
        let (association, flow, soft) =
            if let sad::Action::SoftExpired { association, flow, limit: LimitKind::Octets, .. } = action {
                (association, flow, true)
            } else if let sad::Action::HardExpired { association, flow, limit: LimitKind::Octets, .. } = action {
                (association, flow, false)
            } else {
                return;
            };
        let Some(policy) = self.pairs.get(&ChildId(flow.0)).map(|pair| pair.policy) else { return };
        self.count_policy(policy, |counters| match (association.side(), soft) {
            (Side::Inbound, true) => &mut counters.in_bundle_soft_expire,
            (Side::Inbound, false) => &mut counters.in_bundle_expire,
            (Side::Outbound, true) => &mut counters.out_bundle_soft_expire,
            (Side::Outbound, false) => &mut counters.out_bundle_expire,
        });
    }

    /// Counts the removal of a pair.
    pub(crate) fn count_removal(&mut self, removal: &RemoveSa) {
        let pair = self.pairs.get(&removal.child).map(|pair| (pair.policy, pair.inbound));
        let policy = pair.map(|(policy, _)| policy);
        if self.making.contains_key(&removal.child) {
            count(&mut self.setups.bundle.setup_bundle_removing);
            self.count_unmade(removal.child);
        }
        self.count_bundle(policy, |all| &mut all.remove_started, |of| &mut of.remove_started);
        for protocol in removal.sas.iter().map(|sa| number(sa.suite)) {
            self.count_bundle(policy, |all| &mut all.remove_sa_setup_started, |of| &mut of.remove_sa_setup_started);
            let there = pair.map(|(_, layers)| match protocol {
                ESP => layers.esp.is_some(),
                AH => layers.ah.is_some(),
                _ => layers.cpi.is_some(),
            });
            let Some(counters) = self.setups.of(protocol) else { continue };
            count(match there {
                None => &mut counters.remove_get_sa_failed,
                Some(false) => &mut counters.remove_nothing_done,
                Some(true) => &mut counters.remove_done,
            });
        }
        if policy.is_some() {
            self.count_bundle(policy, |all| &mut all.remove_done, |of| &mut of.remove_done);
        }
    }
}

/// Returns the IP protocol number.
const fn number(protection: Protection) -> u8 {
    match protection {
        Protection::Esp { .. } => ESP,
        Protection::Ah { .. } => AH,
        Protection::Ipcomp { .. } => IPCOMP,
    }
}
