use super::*;

#[test]
fn slots_are_dense_and_stay() {
    let mut names = Names::default();
    assert_eq!(names.slot("a"), None);
    assert_eq!(
        ["a", "b", "a", "c"].map(|name| names.intern(name)),
        [0, 1, 0, 2]
    );
    assert_eq!((names.name(1), names.name(9), names.len()), ("b", "", 3));
}

#[test]
fn names_of_every_length_come_back() {
    let mut names = Names::default();
    let lengths = 0..=64_u32;
    for length in lengths.clone() {
        assert_eq!(names.intern(&"x".repeat(length as usize)), length);
    }
    for length in lengths {
        let name = "x".repeat(length as usize);
        assert_eq!(
            (names.name(length), names.slot(&name)),
            (&*name, Some(length))
        );
    }
}

#[test]
fn an_old_clone_does_not_see_new_names() {
    let mut names = Names::default();
    names.intern("a");
    let old = names.clone();
    names.intern("b");
    assert_eq!((old.slot("b"), old.len()), (None, 1));
    assert_eq!(names.slot("b"), Some(1));
}

#[test]
fn clones_that_go_different_ways_do_not_meet() {
    let mut names = Names::default();
    let mut kept = Vec::new();
    for n in 0..2_000_u32 {
        let mut other = names.clone();
        assert_eq!(other.intern(&format!("other-{n}")), n);
        kept.push(other);
        names.intern(&n.to_string());
    }
    for (n, other) in (0..).zip(kept) {
        assert_eq!(other.slot(&format!("other-{n}")), Some(n));
        assert_eq!(other.slot(&n.to_string()), None);
        assert!((0..n).all(|m| m % 97 != 0 || other.slot(&m.to_string()) == Some(m)));
    }
}

#[test]
fn names_of_equal_hash_keep_their_own_slots() {
    const COUNT: u32 = 300_000;
    let mut names = seeded();
    for n in 0..COUNT {
        assert_eq!(names.intern(&n.to_string()), n);
    }
    for n in 0..COUNT {
        assert_eq!(names.slot(&n.to_string()), Some(n));
    }
    let mut hashes: Vec<u32> = (0..COUNT).map(|n| names.hash(&n.to_string())).collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert!(
        hashes.len() < COUNT as usize,
        "too few names to meet a collision"
    );
    assert!(!names.overflow.is_empty(), "too few names to overflow");
}

/// The length of the longest chain, including the bucket at its beginning.
fn longest_chain(names: &Names) -> usize {
    let chains = (0..names.buckets.len()).map(|home| 1 + names.linked(home));
    chains.max().unwrap_or(0)
}

fn seeded() -> Names {
    Names {
        seeds: ahash::RandomState::with_seeds(1, 2, 3, 4),
        ..Names::default()
    }
}

/// Names with a known seed, and `count` ids that meet in one bucket. While there are at most 512 buckets, 9 bits of a
/// hash choose the bucket, and these are equal.
fn crafted(count: u32) -> (Names, Vec<String>) {
    let names = seeded();
    assert!(count as usize <= LOAD << 9);
    let ids = (0..).map(|n: u32| format!("shop-{n}"));
    let meet = ids.filter(|id| names.hash(id) & 0x1ff == 7);
    let ids = meet.take(count as usize).collect();
    (names, ids)
}

#[test]
fn ids_that_are_made_to_meet_make_no_long_chain_and_are_found() {
    let (mut names, ids) = crafted(1_000);
    for (slot, id) in (0..).zip(&ids) {
        assert_eq!(names.intern(id), slot);
        assert!(longest_chain(&names) <= 1 + CHAIN || slot % 100 != 0);
    }
    assert!(longest_chain(&names) <= 1 + CHAIN);
    for (slot, id) in (0..).zip(&ids) {
        assert_eq!((names.slot(id), names.intern(id)), (Some(slot), slot));
        assert_eq!(names.slot(&format!("{id}-")), None);
    }
    // Other names come in between, and buckets are split, but every id can still be found.
    for n in 0..20_000 {
        assert_eq!(names.intern(&n.to_string()), 1_000 + n);
    }
    assert!(
        (0..)
            .zip(&ids)
            .all(|(slot, id)| names.slot(id) == Some(slot))
    );
    assert!((0..20_000).all(|n| names.slot(&n.to_string()) == Some(1_000 + n)));
    assert!(longest_chain(&names) <= 1 + CHAIN);
}

#[test]
fn every_ledger_has_a_seed_of_its_own_and_slots_do_not_depend_on_it() {
    let (mut known, ids) = crafted(1_000);
    let mut other = Names::default();
    for id in &ids {
        assert_eq!(known.intern(id), other.intern(id));
    }
    assert!(!known.overflow_tree.is_empty());
    assert!(other.overflow_tree.is_empty(), "they meet in the other too");
}

#[test]
fn any_number_of_names_may_share_a_hash() {
    const COUNT: Slot = 1_000;
    let mut names = Names::default();
    for slot in 0..COUNT {
        names.names.push(Name::new(&slot.to_string()));
        names.put_or_split(7, slot);
    }
    let found = (0..COUNT).map(|slot| names.find(&slot.to_string(), 7));
    assert!(found.eq((0..COUNT).map(Some)));
    assert_eq!(names.find("none", 7), None);
    assert!(longest_chain(&names) <= 1 + CHAIN);
}

#[test]
fn overflow_buckets_are_used_again() {
    let mut names = seeded();
    (0..300_000).for_each(|n| {
        names.intern(&n.to_string());
    });
    let mut in_use = 0;
    for bucket in names.buckets.iter() {
        let mut next = bucket.next;
        while let Some(index) = next {
            in_use += 1;
            next = names.overflow.get(index as usize).and_then(|b| b.next);
        }
    }
    let mut unused = 0;
    let mut next = names.unused;
    while let Some(index) = next {
        unused += 1;
        next = names.overflow.get(index as usize).and_then(|b| b.next);
    }
    assert_eq!(in_use + unused, names.overflow.len());
    assert!(names.overflow.len() < names.buckets.len() / 4);
}
