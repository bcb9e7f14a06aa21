//! Error texts for unknown words.

use strsim::levenshtein;

/// Returns an error text for a word that is not among those known. It suggests a similar word, or lists all.
pub(crate) fn unknown<S: AsRef<str>>(what: &str, word: &str, known: &[S]) -> String {
    let known = known.iter().map(AsRef::as_ref);
    let near = known.clone().min_by_key(|known| levenshtein(word, known));
    match near {
        Some(near) if levenshtein(word, near) <= 2 => {
            format!("unknown {what}; did you mean {near:?}?")
        }
        Some(_) => {
            let known: Vec<&str> = known.collect();
            format!("unknown {what}; known are: {}", known.join(", "))
        }
        None => format!("unknown {what}; none is allowed here"),
    }
}
