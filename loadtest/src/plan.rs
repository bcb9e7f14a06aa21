//! Which window comes next: raising the rate, bisecting, and rounds of equal load. Pure.
