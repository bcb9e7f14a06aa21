//! Tests that every input of the corpus still passes.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::{collections::BTreeSet, fs, path::Path};

#[test]
fn every_input_of_the_corpus_passes() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (target, run) in hotpath_fuzz::TARGETS {
        let inputs = fs::read_dir(corpus.join(target)).unwrap();
        let mut tried = 0;
        for input in inputs.map(|input| input.unwrap().path()) {
            let data = fs::read(&input).unwrap();
            let outcome = std::panic::catch_unwind(|| run(&data));
            assert!(outcome.is_ok(), "{} fails", input.display());
            tried += 1;
        }
        assert!(tried > 0, "{target}: its corpus is empty");
    }
}

#[test]
fn every_folder_of_the_corpus_is_a_targets() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let folders = fs::read_dir(corpus).unwrap();
    let folders: BTreeSet<_> = folders
        .map(|folder| folder.unwrap().file_name().into_string().unwrap())
        .collect();
    let targets = hotpath_fuzz::TARGETS.map(|(name, _)| name.to_owned());
    assert_eq!(folders, BTreeSet::from(targets));
}
