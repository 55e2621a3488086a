//! Power cuts at any point, on a disk that tears, loses, reorders and fails: what comes back is what clients may count on.
//!
//!     SEED=7 cargo test persist::sim       replays one seed
//!     make sim                             looks at 10,000
//!
//! Every write appends its number to the texts of its keys, so a text is the order of the writes to its key. After each power
//! cut, on whatever number of cores:
//!
//! - a text is a beginning of what it was;
//! - a write over several keys is in all of their texts or in none;
//! - what a write had read is there if the write is;
//! - with `always`, every write that was acknowledged is there, and all that any reply has shown or others were told of, but for
//!   what was written before logs were turned on, until their first base is in force;
//! - with any policy, whatever was written before a moment at which all of all logs was durable.

mod disk; // what is on it after a power cut
mod server; // shards, their logs, clients

use rondo::persist::log::Policy;
use server::{Figures, Mutant, Scenario, Simulation};

fn run(seed: u64, mutant: Mutant) -> Result<Figures, String> {
    Simulation::new(Scenario::of_seed(seed, mutant)).run()
}

fn seeds() -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    match (number("SEED"), number("SIM_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(count)) => 0..count,
        (None, None) => 0..150,
    }
}

#[test]
fn what_may_be_counted_on_survives_a_power_cut() {
    let mut total = Figures::default();
    for seed in seeds() {
        match run(seed, Mutant::None) {
            Ok(figures) => total.add(&figures),
            Err(problem) => {
                let scenario = Scenario::of_seed(seed, Mutant::None);
                panic!("SEED={seed}\n{scenario:?}\n{problem}")
            }
        }
    }
    println!("{total:?}");
    // The seeds are worth nothing unless they reach what they are for.
    if seeds().count() >= 150 {
        assert!(total.writes > 3000, "{total:?}");
        assert!(total.acknowledged > 1000, "{total:?}");
        assert!(total.lost > 300, "{total:?}");
        assert!(total.torn > 20, "{total:?}");
        assert!(total.failed_writes > 20, "{total:?}");
        assert!(total.failed_syncs > 5, "{total:?}");
        assert!(total.parts_from_elsewhere > 3, "{total:?}");
        assert!(total.cut_records > 0, "{total:?}");
        assert!(total.bases > 50, "{total:?}");
        assert!(total.cuts_before_the_manifest > 5, "{total:?}");
        assert!(total.segments_dropped > 20, "{total:?}");
        assert!(total.mended > 2, "{total:?}");
        assert!(total.cuts_while_mending > 0, "{total:?}");
        assert!(total.told > 1000, "{total:?}");
        assert!(total.switches > 500, "{total:?}");
        assert!(total.mended_always > 0, "{total:?}");
        assert!(total.turned_on > 20, "{total:?}");
        assert!(total.cuts_before_first_base > 3, "{total:?}");
    }
}

#[test]
fn replies_before_the_disk_are_found_out() {
    check_found_out(Mutant::RepliesBeforeDurable);
}

#[test]
fn a_sync_that_does_nothing_is_found_out() {
    check_found_out(Mutant::SyncsNothing);
}

#[test]
fn transactions_that_are_not_settled_are_found_out() {
    check_found_out(Mutant::SettlesNothing);
}

#[test]
fn a_manifest_before_its_base_is_found_out() {
    check_found_out(Mutant::ManifestBeforeBase);
}

#[test]
fn segments_that_go_before_the_manifest_are_found_out() {
    check_found_out(Mutant::DropsBeforeManifest);
}

#[test]
fn a_base_that_claims_too_much_is_found_out() {
    check_found_out(Mutant::BaseClaimsTooMuch);
}

#[test]
fn a_log_that_counts_as_mended_too_soon_is_found_out() {
    check_found_out(Mutant::MendedBeforeManifest);
}

#[test]
fn news_before_the_disk_are_found_out() {
    check_found_out(Mutant::TellsBeforeDurable);
}

#[test]
fn news_before_the_log_are_found_out() {
    check_found_out(Mutant::TellsBeforeLogged);
}

#[test]
fn logs_that_are_said_to_be_on_too_soon_are_found_out() {
    check_found_out(Mutant::SaysOnBeforeTheCut);
}

/// Seeds a broken server may survive at most.
const MUTANT_SEEDS_MAX: u64 = 400;

fn check_found_out(mutant: Mutant) {
    let first = (0..MUTANT_SEEDS_MAX).find(|&seed| run(seed, mutant).is_err());
    println!("{mutant:?}: found out by seed {first:?}");
    assert!(
        first.is_some(),
        "{mutant:?} survives {MUTANT_SEEDS_MAX} seeds"
    );
}

impl Scenario {
    fn of_seed(seed: u64, mutant: Mutant) -> Self {
        let mut rng = rondo::base::rng::Rng::with_seed(seed ^ 0x0d15_c0de);
        Self {
            seed,
            policy: match rng.below(4) {
                0 => Policy::EverySecond,
                1 => Policy::Never,
                _ => Policy::Always,
            },
            shards_counts: (0..4).map(|_| 1 + rng.below(4) as u16).collect(),
            fails: rng.below(3) == 0,
            rewrites: rng.below(2) == 0,
            switches: rng.below(3) == 0,
            begins_late: rng.below(4) == 0,
            mutant,
        }
    }
}
