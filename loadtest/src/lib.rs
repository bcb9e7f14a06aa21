//! Load tests of gRPC services: two or more targets get the same schedule of requests, at rising rates, and one report
//! compares them.
//!
//! The parts, from the outside in: [`cli`] reads the command line, and [`app`] carries it out. [`scenario`] says what is
//! sent and what must hold; [`workload`] draws the requests, with [`ids`] from the ledger, and [`arrivals`] says when each
//! is due. [`topology`] starts the servers. [`run`] drives windows of load through one [`generator`] per target, which
//! speaks [`http2`] itself, in the order that [`plan`] decides. [`compare`] compares the answers, [`process`] measures what
//! the servers used, [`report`] draws the conclusions, and [`terminal`] shows a run while it lasts. All of them share the
//! types of [`traffic`] and [`measure`]. [`record`] and [`capture`] record real traffic and replay it.

pub mod app;
pub mod arrivals;
pub mod capture;
pub mod cli;
pub mod compare;
pub mod error;
pub mod generator;
pub mod http2;
pub mod ids;
pub mod measure;
pub mod plan;
pub mod process;
pub mod record;
pub mod report;
pub mod run;
pub mod scenario;
pub mod terminal;
pub mod topology;
pub mod traffic;
pub mod workload;
