// Package rollout decides when a promotion goes on. A plan has stages, each a percentage of requests that the sidecar
// answers. A stage passes once it was held for long enough, with enough compared requests, and no gate failed. The
// package reads no clock, no file and no network: a caller tells it what the replicas show, and does what it decides.
//
//	               the stage passes: the next one begins
//	                 ┌────────────┐
//	                 v            │   the last stage passes
//	begin ───────> running ───────┴──────────────────────────────> done
//	               ^ │ │ │
//	               │ │ │ └─ a gate fails, on failure go back ────> rolled back
//	               │ │ └─── the same, on failure stop, for good ─> failed
//	        Resume │ └───── the same, but it may be tried again ─┐
//	               └──────────────────────────────── held <──────┘
//
// The rules are:
//
//   - The hold clock runs, and comparisons count, only between two observations that both show all replicas in the
//     stage, and that are not further apart than Plan.Gap. So it stands still while a process restarts, and while
//     nobody observes.
//   - A real mismatch counts whenever it is seen. It, a demoted method and the kill file end a plan for good.
//   - The ratio of p99 and the share of fallbacks are judged as soon as enough requests are counted, for all methods
//     together, and for each method that has enough of its own. The ratio comes from histograms, see Quantile.
//   - A plan that waits says for what. It waits for comparisons without a bound, and for replicas up to
//     Plan.UnreachableFor.
//   - If somebody else changes the modes, the plan has failed, and touches nothing more.
package rollout
