#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

use super::*;
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

fn search(from_qps: f64, to_qps: f64) -> Search {
    Search {
        from_qps,
        step: Step::Times(1.5),
        to_qps,
        ramp: false,
        refinements: 6,
        failing_windows: 2,
        window: SECOND,
    }
}

fn settings(targets: usize, from_qps: f64, to_qps: f64) -> Settings {
    Settings {
        targets,
        noise_floor: true,
        seeds: Seeds::Hashed(7),
        warm_up: Some((from_qps, SECOND)),
        search: Some(search(from_qps, to_qps)),
        equal: Some(Equal {
            load: Load::Share(0.7),
            rounds: 3,
            window: SECOND,
        }),
        full: None,
        leaders: (0..targets).collect(),
        budget: None,
    }
}

/// Runs the plan to its end, against targets that break above their capacity. `noise` is the chance that a window
/// breaks at a rate that the target can hold.
fn simulate(plan: &mut Plan, capacities: &[f64], noise: f64, seed: u64) -> Vec<Next> {
    let mut windows = Vec::new();
    while let Some(next) = plan.next_window() {
        assert_eq!(
            plan.next_window().as_ref(),
            Some(&next),
            "asking twice is harmless"
        );
        let chance = (mix(seed ^ windows.len() as u64) % 10_000) as f64 / 10_000.0;
        let capacity = capacities.get(next.target).unwrap_or(&capacities[0]);
        let broke = next.to_qps > *capacity || chance < noise;
        let verdict = if broke {
            Verdict::Broke("p99".into())
        } else {
            Verdict::Held
        };
        plan.finished(verdict, next.duration);
        windows.push(next);
        assert!(windows.len() < 20_000, "the plan does not end");
    }
    assert_eq!(plan.next_window(), None);
    windows
}

fn of(windows: &[Next], phase: Phase) -> Vec<&Next> {
    windows
        .iter()
        .filter(|window| window.phase == phase)
        .collect()
}

#[test]
fn phases_come_in_order_and_passes_go_there_and_back_from_each_target_in_turn() {
    let mut plan = Plan::new(settings(3, 100.0, 10_000.0));
    let windows = simulate(&mut plan, &[1000.0, 2000.0, 3000.0], 0.0, 0);
    let warm: Vec<_> = of(&windows, Phase::WarmUp)
        .iter()
        .map(|w| w.target)
        .collect();
    assert_eq!(warm, [0, 1, 2]);
    let climb = of(&windows, Phase::Escalate);
    let order: Vec<_> = climb.iter().take(8).map(|w| w.target).collect();
    assert_eq!(order, [0, 1, 2, 3, 3, 2, 1, 0]);
    let equal: Vec<_> = of(&windows, Phase::Equal)
        .iter()
        .map(|w| w.target)
        .collect();
    assert_eq!(equal, [0, 1, 2, 3, 3, 2, 1, 0, 1, 2, 3, 0]);
    let mut sorted = windows.clone();
    sorted.sort_by_key(|window| window.phase as u8);
    assert_eq!(sorted, windows);
}

#[test]
fn windows_of_a_round_share_seed_and_rate_until_they_bisect() {
    let mut plan = Plan::new(settings(2, 100.0, 10_000.0));
    let windows = simulate(&mut plan, &[1000.0, 3000.0], 0.0, 0);
    for one in &windows {
        for other in &windows {
            let same_round = one.phase == other.phase && one.round == other.round;
            assert_eq!(same_round, one.seed == other.seed);
            if same_round && one.phase != Phase::Refine {
                assert_eq!(one.to_qps.to_bits(), other.to_qps.to_bits());
            }
        }
    }
}

#[test]
fn a_target_leaves_when_enough_windows_in_a_row_broke() {
    let mut plan = Plan::new(settings(2, 1000.0, 8000.0));
    let windows = simulate(&mut plan, &[1200.0, 1e9], 0.0, 0);
    let climb = of(&windows, Phase::Escalate);
    let at = |qps: f64, target| {
        let same = |w: &&&Next| w.target == target && (w.to_qps - qps).abs() < 1.0;
        climb.iter().filter(same).count()
    };
    assert_eq!((at(1500.0, 0), at(1500.0, 1)), (2, 1));
    assert_eq!((at(2250.0, 0), at(2250.0, 1)), (0, 1));
    assert_eq!(plan.outcome(0).unwrap().limited_by, "p99");
    let other = plan.outcome(1).unwrap();
    assert_eq!(other.limited_by, "limit");
    assert_eq!(
        (other.sustained_qps, other.broken_qps),
        (Some(8000.0), None)
    );
}

#[test]
fn a_ramp_rises_from_the_rate_before() {
    let mut settings = settings(1, 100.0, 400.0);
    settings.noise_floor = false;
    settings.search.as_mut().unwrap().ramp = true;
    settings.search.as_mut().unwrap().step = Step::Add(100.0);
    let windows = simulate(&mut Plan::new(settings), &[1e9], 0.0, 0);
    let rates: Vec<_> = of(&windows, Phase::Escalate)
        .iter()
        .map(|w| (w.from_qps, w.to_qps))
        .collect();
    assert_eq!(
        rates,
        [
            (100.0, 100.0),
            (100.0, 200.0),
            (200.0, 300.0),
            (300.0, 400.0)
        ]
    );
}

#[test]
fn a_first_rate_that_is_too_high_is_halved() {
    let mut plan = Plan::new(settings(1, 1600.0, 8000.0));
    simulate(&mut plan, &[300.0], 0.0, 0);
    let found = plan.outcome(0).unwrap().sustained_qps.unwrap();
    assert!((285.0..=300.0).contains(&found), "{found}");

    let mut plan = Plan::new(settings(1, 1600.0, 8000.0));
    let windows = simulate(&mut plan, &[50.0], 0.0, 0);
    let outcome = plan.outcome(0).unwrap();
    assert_eq!(
        (outcome.sustained_qps, outcome.broken_qps),
        (None, Some(100.0))
    );
    assert!(of(&windows, Phase::Equal).is_empty());
    assert!(plan.notes()[0].contains("no target sustained"));
}

#[test]
fn void_windows_are_repeated_then_the_generator_is_the_limit() {
    let mut plan = Plan::new(Settings {
        equal: None,
        noise_floor: false,
        ..settings(1, 100.0, 1000.0)
    });
    let mut windows = 0;
    while let Some(next) = plan.next_window() {
        windows += u32::from(next.phase == Phase::Escalate);
        let verdict = if next.to_qps > 150.0 {
            Verdict::Void("generator")
        } else {
            Verdict::Held
        };
        plan.finished(verdict, SECOND);
    }
    assert_eq!(windows, 2 + 5);
    let outcome = plan.outcome(0).unwrap();
    assert_eq!(outcome.limited_by, "generator");
    assert_eq!(outcome.sustained_qps, Some(150.0));
}

#[test]
fn a_wrong_target_leaves_the_search_but_not_the_equal_load() {
    let mut plan = Plan::new(settings(2, 100.0, 1000.0));
    plan.disqualify(1, "answers differ");
    let windows = simulate(&mut plan, &[500.0, 1e9], 0.0, 0);
    assert!(of(&windows, Phase::Escalate).iter().all(|w| w.target != 1));
    assert!(of(&windows, Phase::Equal).iter().any(|w| w.target == 1));
    let outcome = plan.outcome(1).unwrap();
    assert_eq!(
        (outcome.sustained_qps, outcome.limited_by.as_str()),
        (None, "answers differ")
    );
}

#[test]
fn a_fixed_rate_needs_no_search() {
    let mut settings = settings(2, 100.0, 1000.0);
    settings.search = None;
    settings.equal.as_mut().unwrap().load = Load::Qps(333.0);
    settings.seeds = Seeds::Passes;
    let mut plan = Plan::new(settings);
    let windows = simulate(&mut plan, &[1.0, 1.0], 0.0, 0);
    assert_eq!(windows.len(), 2 + 3 * 3);
    assert_eq!(plan.outcome(0), None);
    let seeds: Vec<_> = windows.iter().map(|window| window.seed).collect();
    assert_eq!(seeds, [0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]);
}

#[test]
fn a_budget_is_kept_and_leaves_room_for_equal_load() {
    for budget_s in 10..120 {
        let budget = Duration::from_secs(budget_s);
        let mut plan = Plan::new(Settings {
            budget: Some(budget),
            ..settings(2, 10.0, 1e6)
        });
        let windows = simulate(&mut plan, &[50_000.0, 60_000.0], 0.0, 0);
        let spent = SECOND * windows.len() as u32;
        assert!(spent <= budget, "{spent:?} of {budget:?}");
        assert!(!of(&windows, Phase::Equal).is_empty(), "{budget:?}");
        assert!(plan.done().unwrap() <= 1.0);
        if budget_s < 30 {
            assert!(plan.notes()[0].contains("time budget"));
        }
    }
}

#[test]
fn who_held_nothing_is_known_to_be_overloaded_at_equal_load() {
    let note = "1 of the targets sustained no rate";
    for (weak, noted) in [(1.0, true), (500.0, false)] {
        let mut plan = Plan::new(settings(2, 100.0, 1e6));
        let windows = simulate(&mut plan, &[1000.0, weak], 0.0, 0);
        assert!(!of(&windows, Phase::Equal).is_empty());
        let found = plan.notes().iter().filter(|text| text.starts_with(note));
        assert_eq!(found.count(), usize::from(noted));
    }
}

#[test]
fn equal_load_is_a_share_of_the_weakest_leader() {
    let capacities = [1_000.0, 10.0, 4_000.0];
    for (leaders, expected) in [
        (vec![0, 1, 2], 6.5..7.0),
        (vec![0, 2], 650.0..700.0),
        (vec![2], 2_600.0..2_800.0),
        (vec![], 6.5..7.0),
    ] {
        let mut settings = settings(3, 5.0, 1e6);
        settings.leaders = leaders;
        let mut plan = Plan::new(settings);
        let windows = simulate(&mut plan, &capacities, 0.0, 0);
        let equal = of(&windows, Phase::Equal);
        assert!(expected.contains(&equal[0].to_qps), "{:?}", equal[0]);
        assert!(equal.iter().any(|window| window.target == 1));
    }
}

#[test]
fn three_rounds_of_equal_load_are_kept_room_for() {
    for (budget_s, rounds) in [(15, 1), (30, 2), (46, 3), (50, 3)] {
        let mut settings = Settings {
            budget: Some(Duration::from_secs(budget_s)),
            ..settings(2, 10.0, 1e6)
        };
        settings.equal.as_mut().unwrap().window = 3 * SECOND;
        let windows = simulate(&mut Plan::new(settings), &[5e4, 6e4], 0.0, 0);
        let equal = of(&windows, Phase::Equal).len();
        assert_eq!(equal, 3 * rounds, "within {budget_s} s");
        assert!(!of(&windows, Phase::Escalate).is_empty());
    }
}

proptest! {
    #[test]
    fn the_capacity_is_found(
        capacities in prop::collection::vec(200.0..50_000.0_f64, 1..5),
        factor in 1.1..3.0_f64,
    ) {
        let mut settings = settings(capacities.len(), 100.0, 1e6);
        settings.search.as_mut().unwrap().step = Step::Times(factor);
        let mut plan = Plan::new(settings);
        simulate(&mut plan, &capacities, 0.0, 0);
        for (target, capacity) in capacities.iter().enumerate() {
            let outcome = plan.outcome(target).unwrap();
            let found = outcome.sustained_qps.unwrap();
            prop_assert!(found <= *capacity && found >= capacity * 0.95, "{} of {}", found, capacity);
            prop_assert!(outcome.broken_qps.unwrap() > *capacity);
        }
    }

    #[test]
    fn no_rate_exceeds_the_limit(capacity in 100.0..5000.0_f64, to in 100.0..5000.0_f64, add in 1.0..900.0_f64) {
        let mut settings = settings(2, 100.0, to);
        settings.search.as_mut().unwrap().step = Step::Add(add);
        let windows = simulate(&mut Plan::new(settings), &[capacity, 1e9], 0.0, 0);
        prop_assert!(windows.iter().all(|window| window.to_qps <= to && window.from_qps <= window.to_qps));
    }

    #[test]
    fn noise_ends_too_and_never_finds_more_than_there_is(
        capacities in prop::collection::vec(500.0..20_000.0_f64, 2..5), seed: u64, noise in 0.0..0.5_f64,
    ) {
        let mut plan = Plan::new(settings(capacities.len(), 100.0, 1e6));
        let windows = simulate(&mut plan, &capacities, noise, seed);
        for (target, capacity) in capacities.iter().enumerate() {
            let outcome = plan.outcome(target).unwrap();
            prop_assert!(outcome.sustained_qps.is_none_or(|held| held <= *capacity));
            prop_assert!(outcome.sustained_qps.unwrap_or(0.0) < outcome.broken_qps.unwrap());
        }
        // Passes are fair: no target runs twice in a pass, and no pass interrupts another.
        for pair in windows.windows(2) {
            let next_pass = pair[1].round == pair[0].round + 1 || pair[1].phase != pair[0].phase;
            prop_assert!(next_pass || pair[1].round == pair[0].round);
            prop_assert!(next_pass || pair[1].target != pair[0].target);
        }
    }
}

#[test]
fn full_load_comes_last_and_takes_no_rate() {
    let full = Full {
        in_flight: 128,
        rounds: 2,
        window: 3 * SECOND,
    };
    let mut plan = Plan::new(Settings {
        full: Some(full),
        ..settings(2, 100.0, 10_000.0)
    });
    let windows = simulate(&mut plan, &[1000.0, 2000.0], 0.0, 0);
    let last = &windows[windows.len() - 6..];
    let order: Vec<_> = last.iter().map(|next| next.target).collect();
    assert_eq!(order, [0, 1, 2, 2, 1, 0]);
    for next in last {
        assert_eq!((next.phase, next.to_qps), (Phase::Full, 0.0));
        assert_eq!(next.duration, 3 * SECOND);
    }
    assert_eq!(of(&windows, Phase::Full).len(), 6);
    assert_eq!(of(&windows, Phase::Equal).len(), 9);
    assert_eq!(plan.notes(), &[] as &[String]);
}

#[test]
fn a_budget_keeps_a_fifth_for_full_load() {
    let mut plan = Plan::new(Settings {
        full: Some(Full {
            in_flight: 128,
            rounds: 50,
            window: SECOND,
        }),
        budget: Some(100 * SECOND),
        ..settings(2, 100.0, 10_000.0)
    });
    let windows = simulate(&mut plan, &[1000.0, 2000.0], 0.0, 0);
    // Three windows a round. What search and equal load leave of the budget is used, too.
    assert!(of(&windows, Phase::Full).len() >= 3 * 6, "{windows:?}");
    assert!(windows.len() <= 100);
    assert_eq!(of(&windows, Phase::Equal).len(), 9);
    let note = plan.notes().last().unwrap();
    assert!(note.contains("of 50 rounds of full load"), "{note}");
}
